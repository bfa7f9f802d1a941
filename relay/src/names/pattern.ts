/** Patterns of names in allowlists and grants: a label in which each `*` stands for any letters, digits and hyphens, or none. */

/** A pattern has at most so many `*`, so that a match costs little. */
const MAX_STARS = 4;

/** True for `demo`, `demo-*`, `*`; lower case. */
export function isNamePattern(text: string): boolean {
  return text.length <= 63 && /^[a-z0-9*-]+$/.test(text) && (text.match(/\*+/g)?.length ?? 0) <= MAX_STARS;
}

/** @param name a valid label (label.ts). */
export function matchesName(pattern: string, name: string): boolean {
  // What most grants say, and it is asked at each request.
  if (pattern === "*") return true;
  const parts = pattern.split("*");
  const first = parts[0]!;
  if (parts.length === 1) return name === pattern;
  const last = parts.at(-1)!;
  if (!name.startsWith(first)) return false;
  // The middle parts, each at its first place: with `*` on both sides of it, an earlier place is never worse.
  let at = first.length;
  for (const part of parts.slice(1, -1)) {
    const found = name.indexOf(part, at);
    if (found === -1) return false;
    at = found + part.length;
  }
  return name.length - last.length >= at && name.endsWith(last);
}

export function matchesAny(patterns: readonly string[], name: string): boolean {
  return patterns.some((pattern) => matchesName(pattern, name));
}
