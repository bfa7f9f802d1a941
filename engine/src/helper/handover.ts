import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

/** A connection that carries descriptors beside its bytes: native/handover. */
export interface Channel {
  /** Sends a whole frame, length first, without waiting. @throws a system error; `EPIPE` where nobody is there. */
  send(frame: Buffer): void;
  close(): void;
}

export interface Handover {
  /**
   * Takes over a connected Unix socket. `onFrame` gets each frame without its length, and the descriptors that had come by
   * then, which the callee must close; and last, once, undefined for the end. It does not keep the process alive.
   */
  readonly Channel: new (
    socket: number,
    onFrame: (frame: Buffer | undefined, descriptors: readonly number[]) => void,
  ) => Channel;
  /** Two connected sockets. */
  pair(): [number, number];
  /** @throws a system error. */
  connect(path: string): number;
}

let loaded: Handover | undefined;

/** @throws {Error} with a sentence, where the module is not there. */
export function loadHandover(): Handover {
  loaded ??= load();
  return loaded;
}

function load(): Handover {
  const path = fileURLToPath(
    new URL("../../../native/handover/build/Release/handover.node", import.meta.url),
  );
  if (!existsSync(path)) throw new Error("native/handover is not built: `npm run build:native` builds it");
  return createRequire(import.meta.url)(path) as Handover;
}
