import type { LookupAddress } from "node:dns";
import { isIP, connect, type Socket } from "node:net";
import type { Endpoint } from "../endpoint.ts";
import { abortReason, DialError } from "../errors.ts";
import { unkept } from "../keeper.ts";
import type { Dialer, DialOptions, UdpDialer } from "./dialer.ts";
import { DirectUdpDialer } from "./direct-udp.ts";
import { connectFrom, Egress, ignoreError, type SocketSource } from "./egress.ts";
import { plainHost } from "./plain-host.ts";
import { type Resolver, systemResolver } from "./resolver.ts";
import { toDialError } from "./system-errors.ts";

/**
 * The machine's own network: the ground that every other dialer stands on. Names are resolved by the operating system, and
 * their addresses tried in turn, 250 ms apart, both families mixed (RFC 8305). Sockets are those of the egress, where it has a
 * source.
 */
export class DirectDialer implements Dialer {
  readonly udp: UdpDialer;
  readonly #resolver: Resolver;
  readonly #egress: Egress;

  constructor(resolver = systemResolver, egress = new Egress()) {
    this.#resolver = resolver;
    this.#egress = egress;
    this.udp = new DirectUdpDialer(resolver, egress);
  }

  /** @throws {DialError} */
  dial(target: Endpoint, options: DialOptions): Promise<Socket> {
    const { signal, onStep } = options;
    const host = plainHost(target.host);
    if (signal.aborted) return Promise.reject(abortReason(signal));
    const wrong = refusal(host, target.port);
    if (wrong) return Promise.reject(wrong);
    const { source } = this.#egress;
    if (source) return this.#dialFrom(source, { host, port: target.port }, options);
    return new Promise((resolve, reject) => {
      const byName = isIP(host) === 0;
      onStep?.(byName ? "name" : "tcp");
      const socket = connect({
        host,
        port: target.port,
        lookup: byName ? this.#resolver.lookupFor(options) : undefined,
        autoSelectFamily: true,
        autoSelectFamilyAttemptTimeout: 250,
        noDelay: true,
        allowHalfOpen: true,
        ...(options.onread && { onread: options.onread }),
      });
      unkept(socket);
      // Until somebody reads, nothing is read; and this way a stream is handed over in the same state by every dialer.
      socket.pause();
      // The event also tells of a name that did not resolve.
      if (byName && onStep) socket.once("lookup", (error: Error | null) => !error && onStep("tcp"));
      const settle = () => {
        signal.removeEventListener("abort", onAbort);
        socket.removeListener("connect", onConnect);
        socket.removeListener("error", onError);
        socket.on("error", ignoreError);
      };
      const onConnect = () => {
        settle();
        resolve(socket);
      };
      const onError = (error: Error) => {
        settle();
        reject(error instanceof DialError ? error : toDialError(error, target));
      };
      const onAbort = () => {
        settle();
        socket.destroy();
        reject(abortReason(signal));
      };
      signal.addEventListener("abort", onAbort);
      socket.on("connect", onConnect);
      socket.on("error", onError);
    });
  }

  async #dialFrom(source: SocketSource, { host, port }: Endpoint, options: DialOptions): Promise<Socket> {
    try {
      let addresses: readonly string[] = [host];
      if (isIP(host) === 0) {
        options.onStep?.("name");
        addresses = (await this.#resolve(host, options)).map(({ address }) => plainHost(address));
      }
      options.onStep?.("tcp");
      return await connectFrom(source, { addresses, port }, options);
    } catch (error) {
      throw error instanceof DialError ? error : toDialError(error, { host, port });
    }
  }

  #resolve(name: string, options: DialOptions): Promise<readonly LookupAddress[]> {
    const { signal } = options;
    return new Promise((resolve, reject) => {
      const onAbort = (): void => reject(abortReason(signal));
      signal.addEventListener("abort", onAbort);
      this.#resolver.lookupFor(options)(name, { all: true }, (error, addresses) => {
        signal.removeEventListener("abort", onAbort);
        if (error) reject(error);
        else resolve(addresses as LookupAddress[]);
      });
    });
  }
}

/** What the system would take in another sense: no name is this machine to it, and a port out of range an exception. */
function refusal(host: string, port: number): DialError | undefined {
  if (host === "") return new DialError("dns", "the target has no name", { step: "name" });
  if (!(port <= 65_535)) return new DialError("unreachable", `${port} is no port`, { step: "tcp" });
  return undefined;
}
