import type { Endpoint } from "../endpoint.ts";
import { DialError } from "../errors.ts";
import type { Dialer } from "../upstream/dialer.ts";

/** Asked in turn. A host that refuses one is there as much as one that accepts. */
const PORTS = [443, 80, 22];
/** For all ports of one host. Who asks waits no longer: `ping` sends another request each second. */
const DEADLINE_MS = 3000;
/** An answer counts for so long, so that a host is not dialled for each packet. */
const KEEP_MS = 10_000;
/** Hosts that are asked or remembered at one time; of further ones nothing is known. */
const MAX_HOSTS = 256;

interface Known {
  readonly expires: number;
  readonly answer: Promise<boolean>;
}

export interface ReachabilityOptions {
  /** Who would carry a connection to the target; undefined where a route blocks it. */
  readonly dialer: (target: Endpoint) => Dialer | undefined;
  /** Milliseconds of a clock that never goes back. */
  readonly now?: () => number;
}

/**
 * Tells whether a host is there, at the far end of its route. Upstreams carry no ICMP, so it is dialled by TCP: a connection or a
 * refusal by the host comes from the host, and everything else says nothing of it.
 */
export class Reachability {
  readonly #dialer: ReachabilityOptions["dialer"];
  readonly #now: () => number;
  /** Oldest first. */
  readonly #known = new Map<string, Known>();

  constructor({ dialer, now = () => performance.now() }: ReachabilityOptions) {
    this.#dialer = dialer;
    this.#now = now;
  }

  /** @returns false where nothing is known within 3 seconds. Never rejects. */
  ask(host: string): Promise<boolean> {
    const known = this.#known.get(host);
    if (known && known.expires > this.#now()) return known.answer;
    this.#known.delete(host);
    this.#forgetExpired();
    if (this.#known.size >= MAX_HOSTS) return Promise.resolve(false);
    const answer = this.#dial(host);
    this.#known.set(host, { expires: this.#now() + KEEP_MS, answer });
    return answer;
  }

  #forgetExpired(): void {
    for (const [host, { expires }] of this.#known) {
      if (expires > this.#now()) return;
      this.#known.delete(host);
    }
  }

  async #dial(host: string): Promise<boolean> {
    const abort = new AbortController();
    const late = new DialError("timeout", `${host} did not answer`);
    const timer = setTimeout(() => abort.abort(late), DEADLINE_MS);
    try {
      // The first that answers decides; one that is filtered must not hide another.
      return await Promise.any(PORTS.map((port) => this.#answers({ host, port }, abort.signal)));
    } catch {
      return false;
    } finally {
      clearTimeout(timer);
      abort.abort(late);
    }
  }

  /** Rejects where the host did not answer. */
  async #answers(target: Endpoint, signal: AbortSignal): Promise<true> {
    const dialer = this.#dialer(target);
    if (!dialer) throw new DialError("blocked", "a route blocks it");
    try {
      const stream = await dialer.dial(target, { signal });
      stream.destroy();
      return true;
    } catch (error) {
      if (error instanceof DialError && error.code === "refused" && error.scope !== "upstream") return true;
      throw error;
    }
  }
}
