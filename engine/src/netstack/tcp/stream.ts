import { Duplex } from "node:stream";
import { keeper } from "../../keeper.ts";
import { TAKES_CHUNKS } from "../../release.ts";

type Callback = (error?: Error | null) => void;

/** Chunks below this are joined when several wait: a packet has only so many pieces. */
const SMALL_CHUNK = 2 * 1024;
const JOIN_BYTES = 16 * 1024;
/** Writable.write() says false when this much waits on top of the connection's own send buffer. */
const WRITABLE_MARK = 64 * 1024;

/** What a Buffer costs besides its bytes. */
const CHUNK_COST = 256;

/** What the stream asks of its connection. */
export interface StreamTransport {
  /** Takes the bytes, which must not change from now on. */
  write(chunk: Buffer): void;
  /** Whether it wants more than it has. */
  readonly hasRoom: boolean;
  /** No more will be written. */
  end(): void;
  /** The reader took something. */
  onRead(): void;
  /** The stream is over. `clean`: both directions have ended, and everything was read. */
  onDestroy(clean: boolean): void;
}

/** Errors can come before whoever accepted the connection has listened. */
function ignoreError(): void {}

/**
 * The application's bytes. A chunk that was written belongs to the stream until the application's system has acknowledged
 * it, which may be after the write's callback: it must not be written to again.
 */
export class TcpStream extends Duplex {
  readonly [TAKES_CHUNKS] = true;
  [keeper]: unknown = undefined;
  readonly #transport: StreamTransport;
  #written: Callback | undefined;
  #chunks = 0;

  constructor(transport: StreamTransport) {
    super({ allowHalfOpen: true, writableHighWaterMark: WRITABLE_MARK });
    this.#transport = transport;
    this.on("error", ignoreError);
    this.pause();
  }

  /** A write waits for room. */
  get waits(): boolean {
    return this.#written !== undefined;
  }

  /** Memory that waits for the reader: the bytes, and what each chunk of them costs. */
  get held(): number {
    const bytes = this.readableLength;
    return bytes === 0 ? 0 : bytes + CHUNK_COST * this.#chunks;
  }

  /** The connection has room again. */
  onRoom(): void {
    const written = this.#written;
    this.#written = undefined;
    written?.();
  }

  /** Bytes from the application. */
  receive(chunk: Buffer): void {
    if (this.readableLength === 0) this.#chunks = 0;
    this.push(chunk);
    this.#chunks++;
  }

  /** The application has ended. */
  receiveEnd(): void {
    this.push(null);
  }

  override _read(): void {}

  /** Every way to take what has waited comes through here; _read comes before the taking, and not each time. */
  override read(size?: number): unknown {
    const chunk: unknown = super.read(size);
    if (chunk !== null) {
      if (this.#chunks > 0) this.#chunks--;
      this.#transport.onRead();
    }
    return chunk;
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: Callback): void {
    if (chunk.length > 0) this.#transport.write(chunk);
    this.#wrote(callback);
  }

  override _writev(items: { chunk: Buffer }[], callback: Callback): void {
    for (let i = 0; i < items.length;) {
      let stop = i;
      let bytes = 0;
      while (stop < items.length && items[stop]!.chunk.length < SMALL_CHUNK && bytes < JOIN_BYTES) {
        bytes += items[stop++]!.chunk.length;
      }
      if (stop - i < 2) stop = i + 1;
      const chunk = stop === i + 1 ? items[i]!.chunk : join(items, i, stop);
      if (chunk.length > 0) this.#transport.write(chunk);
      i = stop;
    }
    this.#wrote(callback);
  }

  #wrote(callback: Callback): void {
    if (this.#transport.hasRoom) callback();
    else this.#written = callback;
  }

  override _final(callback: Callback): void {
    this.#transport.end();
    callback();
  }

  override _destroy(error: Error | null, callback: Callback): void {
    const clean = error === null && this.readableEnded && this.writableFinished;
    this.#transport.onDestroy(clean);
    const written = this.#written;
    this.#written = undefined;
    callback(error);
    written?.(error ?? new Error("the connection was closed"));
  }
}

function join(items: readonly { chunk: Buffer }[], from: number, to: number): Buffer {
  return Buffer.concat(items.slice(from, to).map(({ chunk }) => chunk));
}
