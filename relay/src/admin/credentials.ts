import { createHash, timingSafeEqual } from "node:crypto";

/** Who may look at the relay from within: the first line of a file, `user:password`. */
export class AdminCredentials {
  readonly #digest: Buffer;

  /** @throws {Error} when the text is no `user:password`. */
  constructor(file: string, text: string) {
    const [line = ""] = text.split(/\r?\n/, 1);
    if (!/^[^:]+:.{8,}$/.test(line))
      throw new Error(`the first line of ${file} is user:password, with at least 8 characters of password`);
    this.#digest = digestOf(line);
  }

  /** @param header the value of Authorization; Basic (RFC 7617) is the one scheme. */
  admits(header: string | undefined): boolean {
    const match = /^basic +([\w+/]+={0,2})$/i.exec(header ?? "");
    const given = match ? Buffer.from(match[1]!, "base64").toString("utf8") : "";
    return timingSafeEqual(digestOf(given), this.#digest) && match !== null;
  }
}

function digestOf(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
