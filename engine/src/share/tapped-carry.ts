import type { Duplex } from "node:stream";
import { Carry, type CarryEnd } from "@sockeye/link/carry";
import type { TunnelStream } from "@sockeye/wire/mux-stream";
import type { LocalFailure } from "./local-failure.ts";

/**
 * Sees what a stream carries, as it passes: it may look at the bytes, and keeps copies of those that it wants to keep. No
 * call may throw.
 */
export interface StreamTap {
  toLocal(chunk: Buffer): void;
  toPublic(chunk: Buffer): void;
  /** The local service sends no more. */
  localEnded(): void;
  /** Once, when both directions are over. `failure`: the local service could not be reached. */
  ended(failure: LocalFailure | undefined): void;
}

/** Carries a stream as ever, and shows it to a tap. Nothing waits for the tap. */
export class TappedCarry extends Carry {
  readonly #tap: StreamTap | undefined;

  constructor(
    between: { readonly socket: Duplex; readonly stream: TunnelStream; readonly tap: StreamTap | undefined },
    onDone: (end: CarryEnd) => void,
  ) {
    super(between.socket, between.stream, onDone);
    this.#tap = between.tap;
  }

  override data(chunk: Buffer): void {
    this.#tap?.toLocal(chunk);
    super.data(chunk);
  }

  override push(chunk: Buffer): void {
    this.#tap?.toPublic(chunk);
    super.push(chunk);
  }

  override socketEnded(): void {
    this.#tap?.localEnded();
    super.socketEnded();
  }
}
