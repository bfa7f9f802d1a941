import { open } from "node:fs/promises";
import { MAX_FILE_BYTES } from "./source.ts";

/** The file's text; no more of it is read than readSource accepts, and one byte, so that it is seen to be too large. */
export async function readConfigText(path: string): Promise<string> {
  await using file = await open(path, "r");
  const chunks: Buffer[] = [];
  let total = 0;
  while (total <= MAX_FILE_BYTES) {
    const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(64 * 1024));
    if (bytesRead === 0) break;
    chunks.push(buffer.subarray(0, bytesRead));
    total += bytesRead;
  }
  return Buffer.concat(chunks).toString("utf8");
}
