import type { Duplex } from "node:stream";
import { type Heartbeat, LinkConnection } from "@sockeye/link/link-connection";
import { type ClientMessage, encodeMessage, readRelayMessage } from "@sockeye/link/messages";
import type { WindowBudget } from "@sockeye/wire/mux";
import type { StreamReceiver, TunnelStream } from "@sockeye/wire/mux-stream";

/** Connections that are being made at once; the relay lets so many strangers in from one address. */
const MAX_DIALLING = 32;
/** Streams that wait for their turn; more are carried on the first connection. */
const MAX_QUEUED = 4096;
/** How long one may take; less than the relay waits for it. */
const DIAL_MS = 2500;
/** So many failures in a row, and the data listener counts as out of reach for a while. */
const FAILURES_IN_A_ROW = 3;
const OUT_OF_REACH_MS = 30_000;

export interface ApartOptions {
  readonly budget: WindowBudget;
  readonly heartbeat: Heartbeat | undefined;
  /** Begins a connection to the relay's data listener. */
  dial(): Duplex;
  opened(stream: TunnelStream, header: Buffer): StreamReceiver;
  /** Says something to the relay on the first connection. */
  say(message: ClientMessage): void;
}

/**
 * The client's side of one connection for each stream: the relay tells a key, we connect to its data listener and claim it. Where
 * that can't be had, the stream is carried on the first connection, and after a few failures we say so at once for a while.
 */
export class ApartStreams {
  readonly #options: ApartOptions;
  readonly #links = new Set<LinkConnection>();
  readonly #queue: string[] = [];
  #dialling = 0;
  #failures = 0;
  #outOfReachUntil = 0;
  #closed = false;

  constructor(options: ApartOptions) {
    this.#options = options;
  }

  /** The relay has a stream for us, under this key. */
  wanted(key: string): void {
    if (this.#closed) return;
    if (performance.now() < this.#outOfReachUntil || this.#queue.length >= MAX_QUEUED)
      this.#options.say({ type: "undialled", key });
    else if (this.#dialling >= MAX_DIALLING) this.#queue.push(key);
    else this.#dial(key);
  }

  close(): void {
    this.#closed = true;
    this.#queue.length = 0;
    for (const link of [...this.#links]) link.close();
  }

  #dial(key: string): void {
    const { budget, heartbeat } = this.#options;
    this.#dialling++;
    let settled = false;
    const settle = (outcome: "opened" | "failed") => {
      if (settled) return;
      settled = true;
      clearTimeout(late);
      this.#dialling--;
      if (outcome === "opened") this.#failures = 0;
      else this.#onFailure(key);
      this.#dialNext();
    };
    const link = new LinkConnection(this.#options.dial(), {
      role: "client",
      budget,
      handler: {
        opened: (stream, header) => {
          settle("opened");
          return this.#options.opened(stream, header);
        },
        control: (bytes) => {
          if (readRelayMessage(bytes).type === "refused") link.close();
        },
        closed: () => {
          this.#links.delete(link);
          settle("failed");
        },
      },
      ...(heartbeat === undefined ? {} : { heartbeat }),
    });
    const late = setTimeout(() => link.close("the relay's data listener did not answer in time"), DIAL_MS);
    this.#links.add(link);
    link.sendControl(encodeMessage({ type: "claim", key }));
  }

  #onFailure(key: string): void {
    if (this.#closed) return;
    this.#failures++;
    if (this.#failures >= FAILURES_IN_A_ROW) this.#outOfReachUntil = performance.now() + OUT_OF_REACH_MS;
    this.#options.say({ type: "undialled", key });
  }

  #dialNext(): void {
    const key = this.#queue.shift();
    if (key !== undefined) this.wanted(key);
  }
}
