import type { Endpoint } from "../endpoint.ts";
import { abortReason, DialError } from "../errors.ts";
import { RCODE, rcodeOf, readMessage } from "./message.ts";
import type { AskOptions, AskServer, DnsPath } from "./path.ts";
import type { ResolvConf } from "./system-settings.ts";

/** A server that did not answer is asked last for so long. */
const AVOID_MS = 30_000;

/**
 * The machine's own name servers, asked in turn as resolv.conf(5) has it: `timeout` for each, all of them `attempts` times,
 * the next at once when one fails or refuses.
 */
export class Nameservers implements DnsPath {
  readonly key = "nameservers";
  readonly tries = 1;
  #conf: ResolvConf;
  readonly #ask: AskServer;
  readonly #port: number;
  readonly #silentUntil = new Map<string, number>();
  #turn = 0;

  /** @param options.port for tests. */
  constructor(conf: ResolvConf, ask: AskServer, options: { readonly port?: number } = {}) {
    this.#conf = conf;
    this.#ask = ask;
    this.#port = options.port ?? 53;
  }

  /** Others from now on. */
  use(conf: ResolvConf): void {
    this.#conf = conf;
  }

  /**
   * @returns the first answer that settles the question; else the last that did not, SERVFAIL say.
   * @throws {DialError} when no server answered; or the signal's reason.
   */
  async ask(query: Buffer, { signal }: AskOptions): Promise<Buffer> {
    let answer: Buffer | undefined;
    let failure: Error | undefined;
    for (let attempt = 0; attempt < this.#conf.attempts; attempt++) {
      for (const host of this.#inOrder()) {
        if (signal.aborted) throw abortReason(signal);
        try {
          answer = await this.#askOne({ host, port: this.#port }, query, signal);
          if (settles(answer)) return answer;
        } catch (error) {
          failure = error instanceof Error ? error : new Error(String(error));
        }
      }
    }
    if (answer !== undefined) return answer;
    throw failure ?? new DialError("dns", "the system has no name server of its own");
  }

  async #askOne(server: Endpoint, query: Buffer, signal: AbortSignal): Promise<Buffer> {
    const controller = new AbortController();
    const onAbort = () => controller.abort(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    const late = new DialError("timeout", `the DNS server ${server.host} did not answer`);
    const timer = setTimeout(() => {
      this.#silentUntil.set(server.host, performance.now() + AVOID_MS);
      controller.abort(late);
    }, this.#conf.timeoutMs);
    try {
      const answer = await this.#ask(server, query, { signal: controller.signal });
      this.#silentUntil.delete(server.host);
      return answer;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
    }
  }

  #inOrder(): string[] {
    const { nameservers, rotate } = this.#conf;
    const first = rotate ? this.#turn++ % nameservers.length : 0;
    const order = [...nameservers.slice(first), ...nameservers.slice(0, first)];
    const now = performance.now();
    const isSilent = (host: string) => (this.#silentUntil.get(host) ?? 0) > now;
    return [...order.filter((host) => !isSilent(host)), ...order.filter(isSilent)];
  }
}

/** A server that can't or won't answer says nothing about the name: the next one may. */
function settles(answer: Buffer): boolean {
  const message = readMessage(answer);
  if (message === undefined) return false;
  const rcode = rcodeOf(message);
  return rcode === RCODE.NOERROR || rcode === RCODE.NXDOMAIN;
}
