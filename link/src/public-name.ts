/** RFC 1123 §2.1: letters, digits and hyphens, no hyphen at either end, at most 63. */
const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/i;

/** Shows as other letters in a browser, which may look like somebody else's name. */
const PUNYCODE = /^xn--/i;

/**
 * Whether a share can have this public name, one label of a host name.
 * @returns a sentence that says what would be right; undefined where it is.
 */
export function faultOfName(name: string): string | undefined {
  if (!LABEL.test(name))
    return "a name is up to 63 letters, digits and hyphens, with a letter or digit at both ends";
  return PUNYCODE.test(name) ? "a name can't begin with xn--" : undefined;
}
