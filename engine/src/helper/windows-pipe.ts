import { once } from "node:events";
import { connect, type Socket, type NetConnectOpts } from "node:net";
import type { Channel } from "./handover.ts";

/** The helper's named pipes, as native/helper/windows/pipe.h has them. */
export const HELPER_PIPE = String.raw`\\.\pipe\ProtectedPrefix\Administrators\Sockeye\helper`;
export const PACKET_PIPE = String.raw`\\.\pipe\ProtectedPrefix\Administrators\Sockeye\packets`;

/** A pipe that another client has is waited for by the system, for half a minute. */
const CONNECT_MS = 5000;
const LENGTH_BYTES = 4;
const MAX_FRAME = 64 * 1024;

/**
 * Connects to a named pipe, or to a Unix socket. The socket has a listener for errors, which hides nothing: `close` follows.
 * @throws a system error; `ETIMEDOUT` where the pipe was busy all the time.
 */
export async function connectPipe(
  path: string,
  onread?: NonNullable<NetConnectOpts["onread"]>,
): Promise<Socket> {
  const socket = connect({ path, ...(onread && { onread }) });
  const signal = AbortSignal.timeout(CONNECT_MS);
  try {
    await once(socket, "connect", { signal });
  } catch (error) {
    socket.on("error", () => {});
    socket.destroy();
    if (!signal.aborted) throw error;
    throw Object.assign(new Error(`${path} is busy`), { code: "ETIMEDOUT" });
  }
  socket.on("error", () => {});
  return socket;
}

/** What native/handover is elsewhere, over a named pipe, which carries no descriptors. */
export class PipeChannel implements Channel {
  readonly #socket: Socket;
  readonly #onFrame: (frame: Buffer | undefined, descriptors: readonly number[]) => void;
  #rest: Buffer = Buffer.alloc(0);
  #over = false;

  /** Takes the socket over. `onFrame` is called last, once, with undefined for the end. */
  constructor(socket: Socket, onFrame: (frame: Buffer | undefined, descriptors: readonly number[]) => void) {
    this.#socket = socket;
    this.#onFrame = onFrame;
    socket.on("data", (bytes: Buffer) => this.#onBytes(bytes));
    socket.on("end", () => this.close());
    socket.on("close", () => {
      this.#over = true;
      onFrame(undefined, []);
    });
    // Whoever waits for an answer has a deadline of his own, which keeps the process alive.
    socket.unref();
  }

  send(frame: Buffer): void {
    if (this.#over || !this.#socket.writable)
      throw Object.assign(new Error("the helper is gone"), { code: "EPIPE" });
    this.#socket.write(frame);
  }

  close(): void {
    this.#over = true;
    this.#socket.destroy();
  }

  #onBytes(bytes: Buffer): void {
    let rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    while (!this.#over && rest.length >= LENGTH_BYTES) {
      const length = rest.readUInt32LE();
      if (length === 0 || length > MAX_FRAME) {
        this.close();
        return;
      }
      if (rest.length < LENGTH_BYTES + length) break;
      this.#onFrame(rest.subarray(LENGTH_BYTES, LENGTH_BYTES + length), []);
      rest = rest.subarray(LENGTH_BYTES + length);
    }
    this.#rest = rest;
  }
}
