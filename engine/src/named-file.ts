import { constants } from "node:fs";
import { open } from "node:fs/promises";

const READ_BYTES = 64 * 1024;

/**
 * The text of a file that a configuration names. The name may be somebody else's, of an import: a device is not read for ever, and a
 * named pipe that nobody writes to is empty, where it would hold one of the few threads that read files and look names up.
 * @throws the system's error, or one with a sentence where the file has more than `maxBytes`.
 */
export async function readNamedFile(path: string, maxBytes: number): Promise<string> {
  // Windows knows neither such pipes nor the flag.
  const nonBlocking = (constants as Partial<typeof constants>).O_NONBLOCK ?? 0;
  await using file = await open(path, constants.O_RDONLY | nonBlocking);
  const chunks: Buffer[] = [];
  for (let total = 0; ;) {
    const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(READ_BYTES));
    if (bytesRead === 0) return Buffer.concat(chunks, total).toString("utf8");
    chunks.push(buffer.subarray(0, bytesRead));
    total += bytesRead;
    if (total > maxBytes) throw new Error(`it is larger than ${maxBytes / 1024} KiB`);
  }
}
