import { Socket } from "node:net";
import { performance } from "node:perf_hooks";
import { give } from "@sockeye/wire/given-memory";
import type { ResetReason } from "@sockeye/wire/mux-frames";
import type { StreamReceiver, TunnelStream } from "@sockeye/wire/mux-stream";
import type { Duplex } from "node:stream";
import { writeGiven } from "./write-given.ts";

export interface CarryEnd {
  /** Undefined where both directions ended in order. */
  readonly failed: "socket" | "stream" | undefined;
  readonly reason: ResetReason | undefined;
}

/**
 * Carries bytes between a socket and a stream of the link until both directions have ended. An end in one direction is
 * passed on and leaves the other open; a failure on either side cuts the other, as a reset where it has one.
 */
export class Carry implements StreamReceiver {
  readonly #socket: Duplex;
  readonly #stream: TunnelStream;
  readonly #onDone: (end: CarryEnd) => void;
  /** Bytes from the stream that the socket has not passed on yet. */
  #owed = 0;
  #done = false;
  #streamEnded = false;
  #socketEnded = false;
  bytesToSocket = 0;
  bytesToStream = 0;
  /** By `performance.now()`; whoever sweeps may read it. */
  lastActive = performance.now();

  /** Takes over both; `onDone` is called once. The socket must be connected, and have no other reader. */
  constructor(socket: Duplex, stream: TunnelStream, onDone: (end: CarryEnd) => void) {
    this.#socket = socket;
    this.#stream = stream;
    this.#onDone = onDone;
    stream.receiver = this;
    socket.on("data", (chunk: Buffer) => {
      give(chunk);
      this.push(chunk);
    });
    socket.on("end", () => this.socketEnded());
    socket.on("drain", () => this.#pay());
    socket.on("error", () => {});
    socket.on("close", () => this.#onSocketClose());
    socket.resume();
  }

  /** One direction has ended, the other has not. */
  get halfClosed(): boolean {
    return this.#streamEnded !== this.#socketEnded;
  }

  /** Cuts both sides. */
  abort(reason: ResetReason): void {
    if (this.#done) return;
    this.#stream.reset(reason);
    this.#finish({ failed: "stream", reason });
  }

  data(chunk: Buffer): void {
    this.lastActive = performance.now();
    this.bytesToSocket += chunk.length;
    this.#owed += chunk.length;
    if (writeGiven(this.#socket, chunk)) this.#pay();
  }

  end(): void {
    this.#streamEnded = true;
    this.#socket.end();
    this.#doneIfBothEnded();
  }

  reset(reason: ResetReason): void {
    this.#finish({ failed: "stream", reason });
  }

  drain(): void {
    this.#socket.resume();
  }

  /** Bytes that came from the socket; given by hand where they came before the socket was taken over. */
  push(chunk: Buffer): void {
    this.lastActive = performance.now();
    this.bytesToStream += chunk.length;
    if (!this.#stream.write(chunk)) this.#socket.pause();
  }

  /** The socket sends no more; told by hand where that was before it was taken over. */
  socketEnded(): void {
    this.#socketEnded = true;
    this.#stream.end();
    this.#doneIfBothEnded();
  }

  #pay(): void {
    const owed = this.#owed;
    this.#owed = 0;
    if (owed > 0) this.#stream.consumed(owed);
  }

  #onSocketClose(): void {
    if (this.#done) return;
    // Closed with both ends seen: what was written is with the kernel.
    if (this.#streamEnded && this.#socketEnded) {
      this.#finish({ failed: undefined, reason: undefined });
      return;
    }
    this.#stream.reset("closed");
    this.#finish({ failed: "socket", reason: undefined });
  }

  #doneIfBothEnded(): void {
    if (!this.#streamEnded || !this.#socketEnded || this.#done) return;
    if (this.#socket.closed) this.#finish({ failed: undefined, reason: undefined });
  }

  #finish(end: CarryEnd): void {
    if (this.#done) return;
    this.#done = true;
    if (end.failed === "stream") cut(this.#socket);
    this.#onDone(end);
  }
}

/** Ends a socket so that its peer sees a failure, and not the end of the data: a reset where the transport has one. */
export function cut(socket: Duplex): void {
  if (socket.destroyed) return;
  // Reset between end() and its completion, a socket's handle is never closed, and the event loop spins without an end.
  const ending = socket.writableEnded && !socket.writableFinished;
  if (socket instanceof Socket && !("encrypted" in socket) && !ending) socket.resetAndDestroy();
  else socket.destroy();
}
