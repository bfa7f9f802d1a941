import type { ResetReason } from "@sockeye/wire/mux-frames";
import type { StreamReceiver, TunnelStream } from "@sockeye/wire/mux-stream";

/** Bytes that wait for the connection, after which `write` asks the writer to wait. */
const ENOUGH_WAITING = 65_536;

/** A stream whose connection is still to come: what is written waits for it, and nothing is heard from it. */
export class ApartStream implements TunnelStream {
  #receiver: StreamReceiver;
  readonly #onGivenUp: () => void;
  #carrier: TunnelStream | undefined;
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #wantsDrain = false;
  #ended = false;
  #over = false;
  #onTaken: (() => void) | undefined;

  /** @param onGivenUp nobody wants the connection any more; told before it has come only. */
  constructor(receiver: StreamReceiver, onGivenUp: () => void) {
    this.#receiver = receiver;
    this.#onGivenUp = onGivenUp;
  }

  get receiver(): StreamReceiver {
    return this.#receiver;
  }

  set receiver(receiver: StreamReceiver) {
    this.#receiver = receiver;
    if (this.#carrier !== undefined) this.#carrier.receiver = receiver;
  }

  get untaken(): boolean {
    return !this.#over && this.#carrier?.untaken !== false;
  }

  get onTaken(): (() => void) | undefined {
    return this.#onTaken;
  }

  set onTaken(onTaken: (() => void) | undefined) {
    this.#onTaken = onTaken;
    if (this.#carrier !== undefined) this.#carrier.onTaken = onTaken;
  }

  /** The stream that carries it from now on; what has waited goes first. */
  carryBy(open: (receiver: StreamReceiver) => TunnelStream): void {
    if (this.#over || this.#carrier !== undefined) return;
    const carrier = open(this.#receiver);
    this.#carrier = carrier;
    carrier.onTaken = this.#onTaken;
    let flowing = true;
    for (const chunk of this.#waiting) flowing = carrier.write(chunk);
    this.#waiting = [];
    if (this.#ended) carrier.end();
    else if (this.#wantsDrain && flowing) this.#receiver.drain();
  }

  /** No connection will come. */
  fail(reason: ResetReason): void {
    if (this.#over || this.#carrier !== undefined) return;
    this.#forget();
    this.#receiver.reset(reason);
  }

  write(chunk: Buffer): boolean {
    if (this.#carrier !== undefined) return this.#carrier.write(chunk);
    if (this.#over || this.#ended || chunk.length === 0) return true;
    this.#waiting.push(chunk);
    this.#waitingBytes += chunk.length;
    this.#wantsDrain = this.#waitingBytes >= ENOUGH_WAITING;
    return !this.#wantsDrain;
  }

  end(): void {
    this.#ended = true;
    this.#carrier?.end();
  }

  reset(reason: ResetReason): void {
    if (this.#carrier !== undefined) {
      this.#carrier.reset(reason);
      return;
    }
    if (this.#over) return;
    this.#forget();
    this.#onGivenUp();
  }

  consumed(bytes: number): void {
    this.#carrier?.consumed(bytes);
  }

  #forget(): void {
    this.#over = true;
    this.#waiting = [];
    this.#onTaken?.();
  }
}
