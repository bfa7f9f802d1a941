import type { PublicAddress } from "../names/registry.ts";

/** How long a client that went is expected back; after that, the relay's own page is shown. */
const KEPT_MS = 60 * 60_000;
/** All pages together; beyond, the one that has been kept longest is dropped. */
const MAX_BYTES = 16_777_216;

interface Kept {
  readonly page: Buffer;
  readonly until: number;
}

/** Pages that clients left behind, for whoever comes while they are away. */
export class OfflinePages {
  /** In the order in which their clients went. */
  readonly #pages = new Map<string, Kept>();
  readonly #now: () => number;
  #bytes = 0;

  /** @param now milliseconds of a clock that only goes forward. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  keep(address: PublicAddress, page: Buffer): void {
    this.forget(address);
    this.#pages.set(keyOf(address), { page, until: this.#now() + KEPT_MS });
    this.#bytes += page.length;
    for (const [key, kept] of this.#pages) {
      if (this.#bytes <= MAX_BYTES && kept.until > this.#now()) break;
      this.#drop(key, kept);
    }
  }

  of(address: PublicAddress): Buffer | undefined {
    const kept = this.#pages.get(keyOf(address));
    return kept === undefined || kept.until <= this.#now() ? undefined : kept.page;
  }

  /** Its client is back, or somebody else has the name. */
  forget(address: PublicAddress): void {
    const key = keyOf(address);
    const kept = this.#pages.get(key);
    if (kept !== undefined) this.#drop(key, kept);
  }

  #drop(key: string, kept: Kept): void {
    this.#pages.delete(key);
    this.#bytes -= kept.page.length;
  }
}

function keyOf(address: PublicAddress): string {
  return address.kind === "http" ? address.name : String(address.port);
}
