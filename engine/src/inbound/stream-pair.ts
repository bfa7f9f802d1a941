import { Duplex } from "node:stream";
import { DialError } from "../errors.ts";
import { ignoreError } from "./listener.ts";

type Callback = (error?: Error | null) => void;

/**
 * Two streams back to back: what is written to one is read from the other, and a write is done when the other side wants
 * more. Unlike with `stream.duplexPair`, a side that is destroyed before it ended takes the other with it, so that a body
 * cut short is never taken for a whole one.
 */
export class PairEnd extends Duplex {
  #other!: PairEnd;
  /** The other side's write, waiting for this side to read. */
  #pending: Callback | undefined;
  #ended = false;
  /** Whether the other side is told by an error, or only by its `close`, that this one was cut. */
  readonly #cutIsError: boolean;

  /** @returns the engine's side, which only closes when the client is gone, and the HTTP client's, which fails when cut. */
  static create(): [PairEnd, PairEnd] {
    const engine = new PairEnd(true, true);
    const client = new PairEnd(false, false);
    engine.#other = client;
    client.#other = engine;
    return [engine, client];
  }

  private constructor(allowHalfOpen: boolean, cutIsError: boolean) {
    super({ allowHalfOpen });
    this.#cutIsError = cutIsError;
    this.on("error", ignoreError);
  }

  /** As a socket has it, for an agent of node:http: nothing here keeps a process alive. */
  ref(): this {
    return this;
  }

  override _read(): void {
    const callback = this.#pending;
    this.#pending = undefined;
    callback?.();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: Callback): void {
    const other = this.#other;
    if (other.destroyed) callback(new DialError("closed", "the other side of the connection is closed"));
    else if (other.push(chunk)) callback();
    else other.#pending = callback;
  }

  override _final(callback: Callback): void {
    this.#ended = true;
    if (!this.#other.destroyed) this.#other.push(null);
    callback();
  }

  override _destroy(error: Error | null, callback: Callback): void {
    const pending = this.#pending;
    this.#pending = undefined;
    callback(error);
    const cut = new DialError("closed", "the connection ended before all had come");
    pending?.(cut);
    if (this.#ended || this.#other.destroyed) return;
    process.nextTick(() => this.#other.destroy(this.#cutIsError ? cut : undefined));
  }
}
