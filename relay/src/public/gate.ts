import type { BlockList } from "node:net";
import { type BasicAuthHash, blockListOf, type Guard, isBasicAuthRight, isInside } from "@sockeye/link/guard";

/** Who may come to a share, asked before a stream to its client opens. */
export class Gate {
  readonly #allowed: BlockList | undefined;
  readonly #basicAuth: BasicAuthHash | undefined;

  /** @throws {RangeError} where a network of the guard is none. */
  constructor({ allow, basicAuth }: Guard) {
    this.#allowed = allow === undefined ? undefined : blockListOf(allow);
    this.#basicAuth = basicAuth;
  }

  /** The request's Authorization is for the relay, and the local service does not see it. */
  get usesAuthorization(): boolean {
    return this.#basicAuth !== undefined;
  }

  /** @returns what is not right; undefined where the request may pass. */
  refuses(source: string, authorization: string | undefined): "address" | "password" | undefined {
    if (this.#allowed !== undefined && !isInside(this.#allowed, source)) return "address";
    if (this.#basicAuth !== undefined && !isBasicAuthRight(this.#basicAuth, authorization)) return "password";
    return undefined;
  }
}

/** Undefined where everybody may come. */
export function gateOf(guard: Guard | undefined): Gate | undefined {
  const guards = guard?.basicAuth !== undefined || guard?.allow !== undefined;
  return guards ? new Gate(guard) : undefined;
}
