import type { Lease, NameRegistry, PublicAddress, Resolution } from "../names/registry.ts";
import type { Dispatch, Found, Route } from "./dispatch.ts";

/** The routes of the clients that are connected here, by the leases that they hold. */
export class LocalDispatch implements Dispatch {
  readonly #registry: NameRegistry;
  readonly #routes = new Map<string, Route>();
  /** Who waits for the route of a lease, by the lease's id. */
  readonly #expected = new Map<string, Set<(route: Route) => void>>();
  readonly #settledAt: number;

  /**
   * @param settleMs how long after now a name that nobody holds counts as one whose client is away: after a restart clients
   * need a moment to come back, and nobody should be told meanwhile that there is no such name.
   */
  constructor(registry: NameRegistry, settleMs: number) {
    this.#registry = registry;
    this.#settledAt = performance.now() + settleMs;
  }

  add(lease: Lease, route: Route): void {
    this.#routes.set(lease.id, route);
    for (const arrived of this.#expected.get(lease.id) ?? []) arrived(route);
  }

  remove(lease: Lease): void {
    this.#routes.delete(lease.id);
  }

  find(address: PublicAddress): Found | Promise<Found> {
    const resolution = this.#registry.resolve(address);
    if (resolution instanceof Promise) return resolution.then((resolved) => this.#found(resolved));
    return this.#found(resolution);
  }

  async waitFor(address: PublicAddress, ms: number, signal: AbortSignal): Promise<Route | undefined> {
    const until = performance.now() + ms;
    const lease = await this.#registry.waitFor(address, ms, signal);
    if (lease === undefined || signal.aborted) return undefined;
    return this.#routes.get(lease.id) ?? this.#expect(lease, until - performance.now(), signal);
  }

  /** A lease is known a moment before its route, which may have a port to open first. */
  async #expect(lease: Lease, ms: number, signal: AbortSignal): Promise<Route | undefined> {
    const waiting = this.#expected.get(lease.id) ?? new Set();
    this.#expected.set(lease.id, waiting);
    return new Promise((resolve) => {
      const arrived = (route: Route | undefined) => {
        clearTimeout(late);
        signal.removeEventListener("abort", gone);
        waiting.delete(arrived);
        if (waiting.size === 0) this.#expected.delete(lease.id);
        resolve(route);
      };
      const gone = () => arrived(undefined);
      const late = setTimeout(gone, Math.max(0, ms));
      signal.addEventListener("abort", gone, { once: true });
      waiting.add(arrived);
    });
  }

  #found(resolution: Resolution): Found {
    if (resolution.state === "unknown" && performance.now() < this.#settledAt) return { state: "away" };
    if (resolution.state !== "held") return resolution;
    const route = this.#routes.get(resolution.lease.id);
    return route === undefined ? { state: "away" } : { state: "held", route };
  }
}
