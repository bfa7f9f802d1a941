import type { Finding, Path } from "@sockeye/config-kit/problem";
import { mappingOf, valueAt } from "@sockeye/config-kit/tree";

/** What upstreams, listeners, relays and shares are checked for alike. */

/** @param what of which it is the name, with its article. */
export function checkName(name: string, path: Path, what: string): Finding[] {
  if (/^[\p{L}\p{N}][\p{L}\p{N}._-]{0,63}$/u.test(name)) return [];
  const message = `the name of ${what} is 1 to 64 letters, digits, dots, hyphens and underscores, and begins with a letter or digit`;
  return [{ path, part: "key", message }];
}

/** A secret is given in one way. */
export function checkBoth(mapping: unknown, path: Path, key: string): Finding[] {
  const both = valueAt(mapping, [key]) !== undefined && valueAt(mapping, [`${key}_file`]) !== undefined;
  if (!both) return [];
  return [{ path: [...path, `${key}_file`], part: "key", message: `give ${key} or ${key}_file, not both` }];
}

/** `auth` has a password, given in one way. */
export function checkAuth(auth: unknown, path: Path): Finding[] {
  const none = valueAt(auth, ["password"]) === undefined && valueAt(auth, ["password_file"]) === undefined;
  if (none && Object.keys(mappingOf(auth)).length > 0) {
    const message = `${String(path.at(-1))} has no password; write password or password_file`;
    return [{ path, part: "key", message }];
  }
  return checkBoth(auth, path, "password");
}
