import type { PublicRequest } from "@sockeye/wire/request-head";
import { KeptRequest } from "./kept-request.ts";

/** Of one share. */
export const MAX_KEPT_REQUESTS = 200;
export const MAX_KEPT_BYTES = 4_194_304;

/** The latest requests of one share, the newest last. The oldest go where there is no room. */
export class RequestRing {
  readonly #maxRequests: number;
  readonly #maxBytes: number;
  #requests: KeptRequest[] = [];
  #nextId = 1;
  #bytes = 0;
  #version = 0;

  constructor(limits: { readonly maxRequests?: number; readonly maxBytes?: number } = {}) {
    this.#maxRequests = limits.maxRequests ?? MAX_KEPT_REQUESTS;
    this.#maxBytes = limits.maxBytes ?? MAX_KEPT_BYTES;
  }

  /** Goes up whenever something is another than before. */
  get version(): number {
    return this.#version;
  }

  /** Oldest first. */
  get requests(): readonly KeptRequest[] {
    return this.#requests;
  }

  /** Bytes that the requests hold, about. */
  get bytes(): number {
    return this.#bytes;
  }

  get(id: number): KeptRequest | undefined {
    return this.#requests.find((kept) => kept.id === id);
  }

  /** @param start by `performance.now()`. */
  begin(
    request: PublicRequest,
    start: number,
    about: { readonly remote?: string; readonly replayOf?: number } = {},
  ): KeptRequest {
    const kept = new KeptRequest(
      { id: this.#nextId++, request, ...about },
      (bytes) => this.#changed(kept, bytes),
      start,
    );
    this.#requests.push(kept);
    this.#bytes += kept.size;
    this.#version++;
    this.#makeRoom();
    return kept;
  }

  /** What still runs is followed to its end, and not kept. */
  clear(): void {
    this.#requests = [];
    this.#bytes = 0;
    this.#version++;
  }

  #changed(kept: KeptRequest, bytes: number): void {
    this.#version++;
    if (bytes === 0 || !this.#requests.includes(kept)) return;
    this.#bytes += bytes;
    this.#makeRoom();
  }

  #makeRoom(): void {
    while (this.#requests.length > this.#maxRequests || this.#bytes > this.#maxBytes) {
      const oldest = this.#requests.shift();
      if (oldest === undefined) return;
      this.#bytes -= oldest.size;
    }
  }
}
