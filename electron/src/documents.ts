import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { open, rename, rm, writeFile } from "node:fs/promises";
import { basename } from "node:path";
import { MAX_SHELL_TEXT, type DesktopResult } from "@sockeye/renderer/desktop/contract";
import type { DialogPart } from "./parts.ts";

/** Asks the person where, and saves a text there. Only its owner can read it: it may be a configuration. */
export async function saveText(
  dialog: DialogPart,
  name: string,
  text: string,
): Promise<DesktopResult<"file.save">> {
  // A name with folders in it would choose where.
  const { canceled, filePath } = await dialog.showSaveDialog({ defaultPath: basename(name) });
  if (canceled || filePath === "") return { saved: false };
  const next = `${filePath}.${randomBytes(4).toString("hex")}`;
  try {
    await writeFile(next, text, { mode: 0o600 });
    await rename(next, filePath);
  } catch (error) {
    await rm(next, { force: true });
    throw error;
  }
  return { saved: true };
}

/** Asks the person for a file, and reads it. @throws {Error} with a sentence: too long, or no text. */
export async function openText(dialog: DialogPart): Promise<DesktopResult<"file.open">> {
  const { canceled, filePaths } = await dialog.showOpenDialog({
    properties: ["openFile", "showHiddenFiles"],
  });
  const path = filePaths[0];
  if (canceled || path === undefined) return null;
  // A named pipe would keep an opener waiting for somebody at its other end. Windows has no such flag: undefined is 0 there.
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    if (!(await file.stat()).isFile()) throw new Error(`${basename(path)} is no ordinary file`);
    // Read with an end: what stat says of a file's length need not hold.
    const buffer = Buffer.alloc(MAX_SHELL_TEXT + 1);
    let length = 0;
    for (;;) {
      const { bytesRead } = await file.read(buffer, length, buffer.length - length);
      if (bytesRead === 0) break;
      length += bytesRead;
      if (length > MAX_SHELL_TEXT) {
        throw new Error(`${basename(path)} is longer than ${MAX_SHELL_TEXT / 1024 / 1024} MiB`);
      }
    }
    const text = new TextDecoder("utf-8", { fatal: true });
    try {
      return { name: basename(path), text: text.decode(buffer.subarray(0, length)) };
    } catch (cause) {
      throw new Error(`${basename(path)} is no text in UTF-8`, { cause });
    }
  } finally {
    await file.close();
  }
}
