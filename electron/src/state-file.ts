import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import type * as z from "zod";

/** A file of ours that is longer is not ours. */
const MAX_BYTES = 4 * 1024 * 1024;

/**
 * A small JSON file that holds one value, whole or not at all. One that can't be read as such is set aside as `….broken`, for
 * a person to look at, and counts as absent.
 */
export class StateFile<Schema extends z.ZodType> {
  readonly #path: string;
  readonly #schema: Schema;

  constructor(path: string, schema: Schema) {
    this.#path = path;
    this.#schema = schema;
  }

  read(): z.infer<Schema> | undefined {
    let text: string;
    try {
      text = readFileSync(this.#path, "utf8");
    } catch {
      return undefined;
    }
    try {
      if (text.length > MAX_BYTES) throw new Error("too long");
      return this.#schema.parse(JSON.parse(text));
    } catch {
      renameSync(this.#path, `${this.#path}.broken`);
      return undefined;
    }
  }

  /** Replaces it in one step; only its owner can read it. @throws the system's error. */
  write(value: z.infer<Schema>): void {
    mkdirSync(dirname(this.#path), { recursive: true });
    const next = `${this.#path}.${randomBytes(4).toString("hex")}`;
    try {
      writeFileSync(next, `${JSON.stringify(value, null, 2)}\n`, { mode: 0o600, flush: true });
      renameSync(next, this.#path);
    } catch (error) {
      rmSync(next, { force: true });
      throw error;
    }
  }
}
