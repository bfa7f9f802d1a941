import type { Dialer, UdpDialer } from "../upstream/dialer.ts";

/** How long an upstream that said it has no UDP is not asked again. */
const NO_UDP_MS = 60_000;

/** Which upstreams have UDP: by their word, until one turns out to have none, as a proxy that knows no UDP ASSOCIATE. */
export class UdpSupport {
  /** Until when, in monotonic milliseconds. */
  readonly #without = new WeakMap<Dialer, number>();

  /** @returns undefined where datagrams can't go through `dialer`. */
  of(dialer: Dialer): UdpDialer | undefined {
    const until = this.#without.get(dialer);
    return until !== undefined && until > performance.now() ? undefined : dialer.udp;
  }

  /** It said that it has none. */
  deny(dialer: Dialer): void {
    this.#without.set(dialer, performance.now() + NO_UDP_MS);
  }
}
