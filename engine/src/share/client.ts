import { Roster } from "@sockeye/wire/roster";
import { randomBytes } from "node:crypto";
import type { Carry, CarryEnd } from "@sockeye/link/carry";
import { readStreamHeader, type RefusalCode, type RelayMessage } from "@sockeye/link/messages";
import { WindowBudget } from "@sockeye/wire/mux";
import type { StreamReceiver, TunnelStream } from "@sockeye/wire/mux-stream";
import { Backoff } from "../upstream/backoff.ts";
import type { LocalFailure } from "./local-failure.ts";
import { carryToLocal } from "./local-target.ts";
import { Session, type SessionEnd } from "./session.ts";
import type { Share, ShareClientOptions, ShareObserver, ShareSpec } from "./share.ts";

interface OwnShare extends Share {
  addresses: readonly string[];
  refusal: Share["refusal"];
  /** The name or port that the relay gave, asked for again after a reconnection. */
  given: string | undefined;
}

const FIRST_RETRY_MS = 200;
const LAST_RETRY_MS = 15_000;
/** A connection that lasted so long was a good one: the next failure starts from the first step again. */
const GOOD_AFTER_MS = 10_000;
const WINDOW_BUDGET = 268_435_456;
/** Refusals that another try would get again. */
const FINAL: ReadonlySet<RefusalCode> = new Set(["version", "auth", "protocol"]);

/**
 * Shares local services through a relay, over one client with any number of shares, and comes back by itself whenever the
 * connection is lost.
 */
export class ShareClient {
  readonly #options: ShareClientOptions;
  readonly #observer: Partial<ShareObserver>;
  readonly #instance = randomBytes(16).toString("hex");
  readonly #budget = new WindowBudget(WINDOW_BUDGET);
  readonly #shares = new Map<number, OwnShare>();
  readonly #carries = new Roster<Carry>();
  #nextShare = 0;
  #session: Session | undefined;
  /** Sessions of a relay that drains, kept for what still runs in them. */
  readonly #leaving = new Set<Session>();
  #retry: NodeJS.Timeout | undefined;
  readonly #backoff = new Backoff(FIRST_RETRY_MS, LAST_RETRY_MS);
  #everWelcome = false;
  #state: "idle" | "running" | "closed" = "idle";

  constructor(options: ShareClientOptions) {
    this.#options = options;
    this.#observer = options.observer ?? {};
  }

  get shares(): readonly Share[] {
    return [...this.#shares.values()];
  }

  get connected(): boolean {
    return this.#session?.welcome ?? false;
  }

  /** Streams that are being carried. */
  get streams(): number {
    return this.#carries.size;
  }

  /** Publishes one more local service, at once or when the relay is reached. */
  add(spec: ShareSpec): Share {
    const number = this.#nextShare++ & 0xffff;
    const share: OwnShare = { number, spec, addresses: [], refusal: undefined, given: undefined };
    this.#shares.set(number, share);
    this.#session?.ask(share);
    return share;
  }

  /** Gives one back; its streams are cut by the relay. */
  remove(share: Share): void {
    if (this.#shares.delete(share.number)) this.#session?.giveBack(share.number);
  }

  /** Asks again for one that the relay did not give. */
  again(share: Share): void {
    const own = this.#shares.get(share.number);
    if (own === undefined || own.addresses.length > 0) return;
    own.refusal = undefined;
    this.#session?.ask(own);
  }

  start(): void {
    if (this.#state !== "idle") return;
    this.#state = "running";
    this.#connect();
  }

  /** Ends everything. Streams that still run are cut. */
  close(): void {
    this.#state = "closed";
    clearTimeout(this.#retry);
    this.#session?.close();
    for (const session of [...this.#leaving]) session.close();
    for (const carry of this.#carries) carry.abort("unshared");
  }

  #connect(): void {
    const session: Session = new Session(this.#options, {
      instance: this.#instance,
      budget: this.#budget,
      shares: () => this.#shares.values(),
      opened: (stream, header) => this.#onStream(stream, header),
      welcomed: () => {
        this.#everWelcome = true;
        this.#observer.connected?.();
      },
      message: (message) => this.#onMessage(message),
      moving: () => this.#onMoving(session),
      ended: (end) => this.#onEnd(session, end),
    });
    this.#session = session;
  }

  /** The relay drains: streams end where they run, and new ones come through another connection. */
  #onMoving(session: Session): void {
    if (this.#session !== session || this.#state !== "running") return;
    this.#leaving.add(session);
    this.#session = undefined;
    this.#reconnect("the relay is about to stop", "draining");
  }

  #onEnd(session: Session, end: SessionEnd): void {
    if (this.#leaving.delete(session) || this.#state !== "running") return;
    this.#session = undefined;
    for (const share of this.#shares.values()) share.addresses = [];
    if (end.code !== undefined && FINAL.has(end.code) && !this.#everWelcome) {
      this.#state = "closed";
      this.#observer.refused?.(end.code, end.message);
      return;
    }
    if (session.lastedMs > GOOD_AFTER_MS) this.#backoff.reset();
    this.#reconnect(end.message, end.code);
  }

  #reconnect(why: string, code: RefusalCode | undefined): void {
    const retryMs = this.#backoff.next();
    this.#observer.disconnected?.(why, retryMs, code);
    this.#retry = setTimeout(() => this.#connect(), retryMs);
  }

  #onMessage(message: RelayMessage): void {
    switch (message.type) {
      case "shared": {
        const share = this.#shares.get(message.share);
        if (share === undefined) return;
        if (isGuarded(share.spec) && message.guarded !== true) {
          this.#giveBackUnguarded(share);
          return;
        }
        share.addresses = message.addresses;
        share.given = message.given;
        share.refusal = undefined;
        this.#observer.shared?.(share);
        return;
      }
      case "unshared": {
        const share = this.#shares.get(message.share);
        if (share === undefined) return;
        share.addresses = [];
        share.refusal = { code: message.code, message: message.message };
        this.#observer.unshared?.(share, message.code, message.message);
        return;
      }
      case "requests":
        for (const seen of message.seen) {
          const share = this.#shares.get(seen.share);
          if (share !== undefined) this.#observer.request?.(share, seen);
        }
        if (message.more > 0) this.#observer.moreRequests?.(message.more);
        return;
      default:
    }
  }

  /** A relay that passes over what it does not know would let everybody in. */
  #giveBackUnguarded(share: OwnShare): void {
    this.#session?.giveBack(share.number);
    const message = "this relay is too old to ask for a password or to look at addresses";
    share.refusal = { code: "unsupported", message };
    this.#observer.unshared?.(share, "unsupported", message);
  }

  /** A stream from the public: it goes to the local service of its share. */
  #onStream(stream: TunnelStream, header: Buffer): StreamReceiver {
    const { share: number, source } = readStreamHeader(header);
    const share = this.#shares.get(number);
    // Of a share that is given back, streams may still come for a moment: nobody was kept out of them.
    if (share === undefined || (isGuarded(share.spec) && share.addresses.length === 0)) {
      stream.reset("unshared");
      return stream.receiver;
    }
    this.#observer.streamOpened?.(share, source);
    const tap = this.#options.tap?.(share, source);
    const onDone = (_end: CarryEnd, failure: LocalFailure | undefined) => {
      this.#carries.delete(carry);
      tap?.ended(failure);
      if (failure !== undefined) this.#observer.localFailed?.(share, failure);
      this.#observer.streamClosed?.(share, carry.bytesToSocket, carry.bytesToStream);
    };
    const carry = carryToLocal(share.spec.target, stream, { onDone, tap });
    this.#carries.add(carry);
    return carry;
  }
}

function isGuarded({ guard }: ShareSpec): boolean {
  return guard?.basicAuth !== undefined || guard?.allow !== undefined;
}
