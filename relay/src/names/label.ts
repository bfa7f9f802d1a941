import { NameError } from "./registry.ts";

/** RFC 1123 §2.1: letters, digits and hyphens, no hyphen at either end, at most 63. */
const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/** Shows as other letters in a browser, which may look like somebody else's name. */
const PUNYCODE = "xn--";

/** True for a name that normalizeName would leave as it is. */
export function isName(name: string): boolean {
  return LABEL.test(name) && !name.startsWith(PUNYCODE);
}

/**
 * A public name as it is compared and looked up: one label of a host name, lower case.
 * @throws {NameError} `invalid`, with a sentence that says what would be right.
 */
export function normalizeName(name: string): string {
  const lower = name.toLowerCase();
  if (LABEL.test(lower)) {
    if (lower.startsWith(PUNYCODE)) throw new NameError("invalid", "a name can't begin with xn--");
    return lower;
  }
  throw new NameError(
    "invalid",
    "a name is up to 63 letters, digits and hyphens, with a letter or digit at both ends",
  );
}
