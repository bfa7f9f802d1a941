import { createHash, timingSafeEqual } from "node:crypto";
import type { InboundCredentials } from "./request.ts";

/** Compares what an application presents with what it must, in a time that tells nothing of either. */
export class CredentialCheck {
  readonly #username: Buffer;
  readonly #password: Buffer;

  constructor(expected: InboundCredentials) {
    this.#username = digest(expected.username);
    this.#password = digest(expected.password);
  }

  accepts(username: string, password: string): boolean {
    const usernameIsRight = timingSafeEqual(digest(username), this.#username);
    const passwordIsRight = timingSafeEqual(digest(password), this.#password);
    return usernameIsRight && passwordIsRight;
  }

  /**
   * RFC 7617 §2 leaves the coding open: UTF-8, and Latin-1, as Python's requests writes it.
   * @param header the value of Proxy-Authorization.
   */
  acceptsBasic(header: string | undefined): boolean {
    const bytes = Buffer.from(readBasic(header) ?? "", "base64");
    return (["utf8", "latin1"] as const).some((coding) => {
      const text = bytes.toString(coding);
      const colon = text.indexOf(":");
      return colon !== -1 && this.accepts(text.slice(0, colon), text.slice(colon + 1));
    });
  }
}

/** What Basic authentication presents (RFC 7617 §2), still encoded; undefined for anything else. */
export function readBasic(header: string | undefined): string | undefined {
  return /^basic +([a-z0-9+/=]+) *$/i.exec(header ?? "")?.[1];
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
