/** A suggestion is a courtesy: it looks at so many words and no more. */
const MAX_COMPARED = 1000;

/** The word of `words` that was probably meant: it begins alike, or at most a third of its letters differ. Undefined when none is near. */
export function closest(word: string, words: Iterable<string>): string | undefined {
  const longest = 64;
  if (word.length > longest) return undefined;
  let best: string | undefined;
  let bestDistance = Infinity;
  let compared = 0;
  for (const candidate of words) {
    if (++compared > MAX_COMPARED) break;
    if (candidate.length > longest) continue;
    const distance = distanceBetween(word.toLowerCase(), candidate.toLowerCase());
    const allowed = Math.max(1, Math.floor(Math.max(word.length, candidate.length) / 3));
    if (distance <= allowed && distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** `; did you mean "x"?`, or nothing. */
export function didYouMean(word: string, words: Iterable<string>): string {
  const near = closest(word, words);
  return near === undefined ? "" : `; did you mean ${near}?`;
}

/** "a", "a and b", "a, b and c". */
export function enumerate(words: readonly string[], conjunction = "and"): string {
  if (words.length < 2) return words.join("");
  return `${words.slice(0, -1).join(", ")} ${conjunction} ${words.at(-1)!}`;
}

/** A beginning is nearer than any misspelling: `user` means `username`. */
function distanceBetween(word: string, candidate: string): number {
  const [short, long] = word.length < candidate.length ? [word, candidate] : [candidate, word];
  return short.length >= 3 && long.startsWith(short) ? 0.5 : editDistance(word, candidate);
}

/** Insertions, deletions, substitutions and swaps of neighbours (optimal string alignment). */
function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = last[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      let cost = Math.min(last[j]! + 1, row[j - 1]! + 1, substitution);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        cost = Math.min(cost, beforeLast[j - 2]! + 1);
      }
      row.push(cost);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length]!;
}
