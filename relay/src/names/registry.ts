/** Who answers under which public name or port. In memory for one relay; an external store stands behind the same calls. */

export type PublicAddress =
  { readonly kind: "http"; readonly name: string } | { readonly kind: "tcp"; readonly port: number };

/** For people: `demo`, or `tcp 2000`. */
export function shownAddress(address: PublicAddress): string {
  return address.kind === "http" ? address.name : `tcp ${address.port}`;
}

/** A client's session, as a relay knows it. Plain data, so that another relay can read it from a shared store. */
export interface Holder {
  /** The relay that the client is connected to; an address at which other relays reach it. */
  readonly relay: string;
  /** The session's id on that relay. */
  readonly session: string;
}

/** A name or port that is held for a while, and for longer as long as it is renewed. */
export interface Lease {
  /** Unguessable (names/id.ts). */
  readonly id: string;
  readonly address: PublicAddress;
  readonly identity: string;
  readonly holder: Holder;
}

export interface Claim {
  /** From the grant. */
  readonly identity: string;
  /**
   * Chosen by the client's process at its start and kept by it through all its reconnections: where several hold a name
   * together, this tells a client that is back from another one of the same identity.
   */
  readonly instance: string;
  readonly holder: Holder;
  /** A name or a port; `any` has the registry choose one that the scope allows. */
  readonly wanted:
    | PublicAddress
    | { readonly kind: "http"; readonly any: true }
    /** `except`: ports that are of no use, such as those that other programs hold. */
    | { readonly kind: "tcp"; readonly any: true; readonly except?: readonly number[] };
  readonly scope: ClaimScope;
}

/** What the grant allows. */
export interface ClaimScope {
  readonly names: readonly string[];
  readonly ports: readonly { readonly low: number; readonly high: number }[];
  /** Leases of one identity, of this kind. */
  readonly maxLeases: number;
}

export type NameErrorCode =
  | "invalid" // not a label of RFC 1123, or not a port
  | "reserved"
  | "not-allowed" // by the relay's patterns or the grant's
  | "taken"
  | "too-many" // leases of this identity
  | "none-free" // of the ports allowed
  | "unavailable"; // the store gives no answer

/** A name or port that is not given. Its sentence is for the client's person. */
export class NameError extends Error {
  override readonly name = "NameError";
  readonly code: NameErrorCode;
  constructor(code: NameErrorCode, message: string, cause?: unknown) {
    super(message, { cause });
    this.code = code;
  }
}

/** What is known of a name or port. */
export type Resolution =
  /** Of several holders the one whose turn it is. */
  | { readonly state: "held"; readonly lease: Lease }
  /** Held until lately: its client may be on its way back. */
  | { readonly state: "away" }
  | { readonly state: "unknown" };

export type LeaseEnd =
  | "expired" // not renewed in time
  | "taken-back" // by a newer session of the same identity
  | "replaced"; // by another identity, as the policy allows

export interface NameRegistry {
  /** @throws {NameError} */
  claim(claim: Claim): Promise<Lease>;
  /** @returns false when the lease has ended meanwhile; then it is to be claimed anew. */
  renew(lease: Lease): Promise<boolean>;
  /** Gives it back. Nothing happens where it has ended already. `lasting` forgets the name: it is not `away` but unknown. */
  release(lease: Lease, options?: { readonly lasting?: boolean }): Promise<void>;
  /** Asked for each request. An answer that is at hand comes at once, without a promise. */
  resolve(address: PublicAddress): Resolution | Promise<Resolution>;
  /**
   * Waits for the holder of a name, signalled by its claim; where there is one, the answer is there at once. A name that is
   * unknown can be waited for as well: just after its start a registry knows nobody. Whether that is worth it, the caller says.
   * @param ms at most.
   * @returns undefined when there is none in time, or when so many wait already that this is not to be one more.
   * @throws the signal's reason when it fires.
   */
  waitFor(address: PublicAddress, ms: number, signal: AbortSignal): Promise<Lease | undefined>;
  /**
   * Tells of leases that ended without release().
   * @returns stops telling.
   */
  onEnd(listener: (lease: Lease, why: LeaseEnd) => void): () => void;
  /** Every lease, for the dashboard. */
  list(): Promise<readonly Lease[]>;
  close(): void;
}
