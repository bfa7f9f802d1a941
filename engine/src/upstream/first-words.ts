/** The most of a peer's first bytes that a sentence quotes. */
const MAX_QUOTED = 40;

/** What a peer said first, for a sentence: its first line in quotes, at most 40 bytes of it, whatever can't be printed escaped. */
export function quoteFirstWords(bytes: Buffer): string {
  const ends = [bytes.indexOf(0x0a), bytes.indexOf(0x0d)].filter((end) => end !== -1);
  const line = bytes.subarray(0, Math.min(bytes.length, ...ends));
  const text = line.toString("latin1", 0, MAX_QUOTED).replace(/[^\x20-\x7e]|["\\]/g, escaped);
  return `"${text}${line.length > MAX_QUOTED ? "…" : ""}"`;
}

/** The most of a peer's own words that a sentence repeats. */
const MAX_WORDS = 200;

/** A peer's own words, no longer than a sentence of ours can hold: sentences are kept, with each flow that failed. */
export function brief(words: string): string {
  return words.length > MAX_WORDS ? `${words.slice(0, MAX_WORDS)}…` : words;
}

function escaped(character: string): string {
  if (character === '"' || character === "\\") return `\\${character}`;
  return `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`;
}
