import type { Duplex } from "node:stream";
import type { Endpoint } from "../endpoint.ts";
import { abortReason, DialError } from "../errors.ts";
import type { Dialer, DialOptions, UdpDialer } from "./dialer.ts";
import { DirectDialer } from "./direct.ts";
import { Egress } from "./egress.ts";
import { GivenStreams } from "./given-streams.ts";
import { systemResolver } from "./resolver.ts";
import { runTest } from "./step-clock.ts";
import type { TestOptions, Upstream, UpstreamStatus, UpstreamTestResult } from "./upstream.ts";

/** The machine's own network as an upstream that routes can name. */
class DirectUpstream implements Upstream {
  readonly name = "direct";
  readonly type = "direct";
  readonly udp: UdpDialer;
  readonly #dialer: DirectDialer;
  readonly #given = new GivenStreams();
  /** Ends dials that are under way when the time to drain is over. */
  readonly #cut = new AbortController();

  constructor(egress: Egress) {
    this.#dialer = new DirectDialer(systemResolver, egress);
    this.udp = this.#dialer.udp;
  }

  dial(target: Endpoint, options: DialOptions): Promise<Duplex> {
    if (this.#given.closing) {
      return Promise.reject(new DialError("closed", "the direct upstream is closed"));
    }
    this.#given.begin();
    return this.#dialer.dial(target, options).then(this.#give, this.#giveNothing);
  }

  readonly #give = (socket: Duplex): Duplex => {
    const cut = this.#cut.signal;
    if (cut.aborted) socket.destroy();
    else this.#given.add(socket);
    this.#given.end();
    if (cut.aborted) throw abortReason(cut);
    return socket;
  };

  readonly #giveNothing = (error: unknown): never => {
    this.#given.end();
    throw error;
  };

  status(): UpstreamStatus {
    const active = this.#given.size;
    return { state: active > 0 ? "connected" : "idle", pool: { size: 0, ready: 0, connecting: 0, active } };
  }

  /** Without a target there is nothing to connect to, so nothing that can fail. */
  test(options: TestOptions): Promise<UpstreamTestResult> {
    return runTest(options, async (dialOptions) => {
      if (options.target) (await this.#dialer.dial(options.target, dialOptions)).destroy();
    });
  }

  keepWarm(): void {
    // There is no server of its own to be reached.
  }

  refresh(): void {
    // Nothing is kept ready: the next dial sees the network as it is then.
  }

  async close(drainMs: number): Promise<void> {
    await this.#given.drain(drainMs);
    this.#cut.abort(new DialError("closed", "the direct upstream was closed"));
    this.#given.cut();
  }
}

/** The upstream named `direct`. Its sockets, and so those of all upstreams that are reached by it, are the egress's. */
export function createDirectUpstream(egress = new Egress()): Upstream {
  return new DirectUpstream(egress);
}

/** True for the machine's own network, whose dials can be told apart into `name` and `tcp`. */
export function isDirect(dialer: Dialer): boolean {
  return dialer instanceof DirectDialer || dialer instanceof DirectUpstream;
}
