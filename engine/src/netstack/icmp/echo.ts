import type { StackHandler } from "../handler.ts";
import { readAddress } from "../ip/addresses.ts";
import { IpHead, type IpOutput } from "../ip/output.ts";
import { type IpPacket, Protocol } from "../ip/packet.ts";

export interface EchoLimits {
  /** Requests that wait for the handler's answer; more are not answered. */
  readonly waiting: number;
  /** Bytes of their payloads. */
  readonly waitingBytes: number;
  /** How long one waits. */
  readonly timeoutMs: number;
}

export const ECHO_LIMITS: EchoLimits = { waiting: 128, waitingBytes: 256 * 1024, timeoutMs: 5000 };

const REPLY_IPV4 = 0;
const REPLY_IPV6 = 129;

interface Waiting {
  readonly since: number;
  readonly head: IpHead;
  /** Identifier and sequence number, as they came. */
  readonly rest: number;
  readonly payload: Buffer;
}

/** Answers echo requests (RFC 792, RFC 4443 §4) to targets that are reachable, which the handler finds out. */
export class EchoReplies {
  readonly #output: IpOutput;
  readonly #mtu: number;
  readonly #ask: StackHandler["echo"];
  readonly #limits: EchoLimits;
  /** Told when a reply was put out that nobody has flushed. */
  readonly #onOutput: () => void;
  /** Oldest first. */
  readonly #waiting = new Set<Waiting>();
  #bytes = 0;
  answered = 0;

  constructor(options: {
    readonly output: IpOutput;
    readonly mtu: number;
    readonly ask: StackHandler["echo"];
    readonly onOutput: () => void;
    readonly limits?: EchoLimits | undefined;
  }) {
    this.#output = options.output;
    this.#mtu = options.mtu;
    this.#ask = options.ask;
    this.#onOutput = options.onOutput;
    this.#limits = options.limits ?? ECHO_LIMITS;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** @param packet an echo request whose checksum is right. */
  request(packet: IpPacket, now: number): void {
    if (!this.#ask) return;
    const { bytes, addressesAt, addressBytes, transportAt, end } = packet;
    const size = end - transportAt - 8;
    this.advance(now);
    if (this.#waiting.size >= this.#limits.waiting || this.#bytes + size > this.#limits.waitingBytes) return;
    const middle = addressesAt + addressBytes;
    const request: Waiting = {
      since: now,
      head: new IpHead(
        addressBytes === 4 ? Protocol.icmp : Protocol.icmp6,
        this.#mtu,
        bytes.subarray(middle, middle + addressBytes),
        bytes.subarray(addressesAt, middle),
      ),
      rest: bytes.readUInt32BE(transportAt + 4),
      payload: Buffer.from(bytes.subarray(transportAt + 8, end)),
    };
    this.#waiting.add(request);
    this.#bytes += size;
    this.#ask(readAddress(bytes, middle, addressBytes), (yes) => {
      if (this.#forget(request) && yes) this.#reply(request);
    });
  }

  advance(now: number): void {
    for (const request of this.#waiting) {
      if (now - request.since < this.#limits.timeoutMs) return;
      this.#forget(request);
    }
  }

  /** When advance() next has something to do; Infinity while nothing waits. */
  next(): number {
    for (const { since } of this.#waiting) return since + this.#limits.timeoutMs;
    return Infinity;
  }

  close(): void {
    this.#waiting.clear();
    this.#bytes = 0;
  }

  /** @returns false when it was answered already, or too late. */
  #forget(request: Waiting): boolean {
    if (!this.#waiting.delete(request)) return false;
    this.#bytes -= request.payload.length;
    return true;
  }

  #reply({ head, rest, payload }: Waiting): void {
    const header = Buffer.alloc(8);
    header[0] = head.isIpv4 ? REPLY_IPV4 : REPLY_IPV6;
    header.writeUInt32BE(rest, 4);
    if (this.#output.send(head, header, 2, payload)) this.answered++;
    this.#onOutput();
  }
}
