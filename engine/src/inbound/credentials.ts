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
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
