import type { Writable } from "node:stream";
import { isGiven, letGo } from "@sockeye/wire/given-memory";

/** As `sink.write(chunk)`; a chunk that was given is let go when it has been written, or never will be. */
export function writeGiven(sink: Writable, chunk: Buffer): boolean {
  return isGiven(chunk) ? sink.write(chunk, () => letGo(chunk)) : sink.write(chunk);
}
