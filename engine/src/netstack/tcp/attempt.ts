import type { Endpoint } from "../../endpoint.ts";
import type { Duplex } from "node:stream";
import type { Refusal, TcpAttempt } from "../handler.ts";
import type { IpPacket } from "../ip/packet.ts";
import type { Syn } from "./connection-output.ts";
import { Flow } from "./flow-table.ts";
import type { Segment } from "./segment.ts";
import { distance } from "./sequence.ts";

/** What an attempt needs of the layer. */
export interface AttemptHost {
  readonly time: number;
  accept(attempt: Attempt): Duplex;
  refuse(attempt: Attempt, why: Refusal): void;
  /** It ended without an answer. */
  gaveUp(attempt: Attempt): void;
  /** When an application that was last heard at `heard` is taken for gone. */
  silentAt(since: number, heard: number): number;
  watch(attempt: Attempt, due: number): void;
}

/** ICMP quotes the packet that it answers: as much of the SYN as both error formats want at most. */
const QUOTED_BYTES = 128;

/** A SYN that waits for its answer: LISTEN, as far as the application can see. */
export class Attempt extends Flow implements TcpAttempt, Syn {
  readonly source: Endpoint;
  readonly target: Endpoint;
  readonly seq: number;
  readonly mss: number;
  readonly windowScale: number;
  readonly sackPermitted: boolean;
  readonly hasTimestamps: boolean;
  tsValue: number;
  /** The packet from its IP header on, cut to what ICMP quotes. */
  readonly packet: Buffer;
  /** An initial sequence number must come after this, where the four-tuple was in use a moment ago. */
  readonly after: number | undefined;
  readonly #host: AttemptHost;
  readonly #since: number;
  #state: "waiting" | "answered" | "gone" = "waiting";
  #onCancel: (() => void) | undefined;

  /** @param after see there. */
  constructor(
    host: AttemptHost,
    from: { readonly packet: IpPacket; readonly hash: number },
    segment: Segment,
    after: number | undefined,
  ) {
    super(from);
    const { bytes, addressesAt, addressBytes, transportAt, start } = from.packet;
    this.#host = host;
    this.#since = host.time;
    this.after = after;
    this.source = {
      host: formatAddress(bytes, addressesAt, addressBytes),
      port: bytes.readUInt16BE(transportAt),
    };
    this.target = {
      host: formatAddress(bytes, addressesAt + addressBytes, addressBytes),
      port: bytes.readUInt16BE(transportAt + 2),
    };
    this.seq = segment.seq;
    this.mss = segment.mss;
    this.windowScale = segment.windowScale;
    this.sackPermitted = segment.sackPermitted;
    this.hasTimestamps = segment.hasTimestamps;
    this.tsValue = segment.tsValue;
    this.packet = Buffer.from(bytes.subarray(start, Math.min(from.packet.end, start + QUOTED_BYTES)));
    this.#heard();
  }

  get waiting(): boolean {
    return this.#state === "waiting";
  }

  /** The same SYN once more. */
  repeated(segment: Segment): void {
    if (segment.hasTimestamps && this.hasTimestamps) this.tsValue = segment.tsValue;
    this.#heard();
  }

  /** RFC 9293 §3.10.7.3: nothing was sent that it could acknowledge, so it is told by its sequence number alone. */
  isReset(segment: Segment): boolean {
    const ahead = distance(segment.seq, this.seq);
    return ahead === 0 || ahead === 1;
  }

  onCancel(callback: () => void): void {
    this.#onCancel = callback;
  }

  accept(): Duplex {
    return this.#host.accept(this);
  }

  refuse(why: Refusal): void {
    if (this.#state !== "waiting") return;
    this.#host.refuse(this, why);
  }

  /** @internal */
  answered(): void {
    this.#state = "answered";
    this.#onCancel = undefined;
  }

  /** The application gave up. */
  cancel(): void {
    if (this.#state !== "waiting") return;
    this.#state = "gone";
    this.#host.gaveUp(this);
    const callback = this.#onCancel;
    this.#onCancel = undefined;
    callback?.();
  }

  override expire(): void {
    this.cancel();
  }

  #heard(): void {
    this.#host.watch(this, this.#host.silentAt(this.#since, this.#host.time));
  }
}

function formatAddress(bytes: Buffer, at: number, length: 4 | 16): string {
  if (length === 4) return `${bytes[at]!}.${bytes[at + 1]!}.${bytes[at + 2]!}.${bytes[at + 3]!}`;
  const groups = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(at + 2 * i));
  // RFC 5952 §4.2: the longest run of zeros, of two at least, the first of equals.
  let from = -1;
  let longest = 1;
  for (let i = 0; i < 8; i++) {
    let run = 0;
    while (i + run < 8 && groups[i + run] === 0) run++;
    if (run > longest) {
      longest = run;
      from = i;
    }
    if (run > 0) i += run - 1;
  }
  const text = (part: number[]): string => part.map((group) => group.toString(16)).join(":");
  if (from === -1) return text(groups);
  return `${text(groups.slice(0, from))}::${text(groups.slice(from + longest))}`;
}
