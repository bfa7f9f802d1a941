import type { OnReadOpts, Socket } from "node:net";

/** What a socket under load holds for us is taken in one read, and its packets are opened in one call. */
const READ_BYTES = 256 * 1024;

/**
 * Reads a connection's socket into one piece of memory, again and again, where each read would otherwise bring memory of its
 * own. Until `lendWhile` is asked, and when it says no, the socket's `data` events carry copies that anybody may keep; when
 * it says yes, their bytes are gone once the listeners have returned.
 */
export class TransportReader {
  /** For DialOptions. */
  readonly onread: OnReadOpts;
  #socket: Socket | undefined;
  #mayLend: () => boolean = () => false;

  constructor() {
    // A view that is less than its memory: nobody takes it for one to give back.
    const buffer = Buffer.from(new ArrayBuffer(READ_BYTES + 8), 8, READ_BYTES);
    this.onread = { buffer, callback: (bytes, read) => this.#onRead(read.subarray(0, bytes)) };
  }

  /** The socket that was made with `onread`, before anything is read from it. */
  attach(socket: Socket): void {
    this.#socket = socket;
  }

  lendWhile(mayLend: () => boolean): void {
    this.#mayLend = mayLend;
  }

  /** @returns false to stop reading. */
  #onRead(bytes: Uint8Array): boolean {
    const socket = this.#socket;
    if (!socket) throw new Error("a socket was read before it had a reader");
    const lent = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    socket.emit("data", this.#mayLend() ? lent : Buffer.from(lent));
    return !socket.isPaused();
  }
}
