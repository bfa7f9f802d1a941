import { type CST, type YAMLError, Parser } from "yaml";

interface Unclosed {
  readonly what: "[" | "{" | "quote";
  /** Where it is opened. */
  readonly offset: number;
}

/**
 * The bracket or quote that is opened and not closed, where that is what the error is about: where it is opened, and a sentence
 * that takes its place in words (`3:16`). The library tells of it where it first notices: often lines below, and for brackets
 * as a fault of indentation.
 */
export function findUnclosed(
  text: string,
  error: YAMLError,
): { readonly offset: number; readonly sentence: (place: string) => string } | undefined {
  const [noticed] = error.pos;
  const isQuote = error.code === "MISSING_CHAR" && error.message.startsWith("Missing closing");
  const isBracket = /^Flow (map|sequence) .*end with a/.test(error.message);
  if (!isQuote && !isBracket) return undefined;
  // The innermost of those that were open.
  let found: Unclosed | undefined;
  for (const unclosed of unclosedIn(text)) {
    const fits = (unclosed.what === "quote") === isQuote && unclosed.offset < noticed;
    if (fits && unclosed.offset >= (found?.offset ?? 0)) found = unclosed;
  }
  if (found === undefined) return undefined;
  const { what, offset } = found;
  const next = /[[\]{}]/.exec(text.slice(noticed))?.[0];
  // The reader gave it up at a line that stands too far to the left.
  if (what !== "quote" && next === closingOf[what].text) {
    const lines = (place: string) => `the lines from the ${what} at ${place} to its ${next}`;
    return { offset, sentence: (place) => `${lines(place)} are indented with spaces, deeper than their key` };
  }
  return { offset, sentence: (place) => `the ${what} at ${place} is not closed` };
}

const closingOf = {
  "[": { text: "]", type: "flow-seq-end" },
  "{": { text: "}", type: "flow-map-end" },
} as const;

function* unclosedIn(text: string): Generator<Unclosed> {
  const waiting: CST.Token[] = [...new Parser().parse(text)];
  for (let token = waiting.pop(); token !== undefined; token = waiting.pop()) {
    if (token.type === "document") {
      if (token.value) waiting.push(token.value);
    } else if (token.type === "single-quoted-scalar" || token.type === "double-quoted-scalar") {
      if (!isClosedQuote(token.source)) yield { what: "quote", offset: token.offset };
    } else if ("items" in token) {
      if (token.type === "flow-collection") {
        const what = token.start.source as keyof typeof closingOf;
        if (!token.end.some(({ type }) => type === closingOf[what].type)) {
          yield { what, offset: token.offset };
        }
      }
      for (const item of token.items) waiting.push(...tokensOf(item));
    }
  }
}

function tokensOf({ key, value }: CST.CollectionItem): CST.Token[] {
  return [key, value].filter((token) => token !== null && token !== undefined);
}

function isClosedQuote(source: string): boolean {
  return source.length > 1 && source.endsWith(source[0]!);
}
