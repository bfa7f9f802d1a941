import { type Path, formatPath } from "./problem.ts";

/** What variables made of a text in the file. */
export interface Expansion {
  /** As it stands in the file. */
  readonly written: string;
  readonly text: string;
  /** What each variable in it stood for. */
  readonly values: ReadonlyMap<string, string>;
}

/** As many characters of a value in a row betray it; of a shorter value there is nothing to hide. */
const TELLING = 4;

/**
 * A problem's sentence with each value that came from the environment as the file has it, `${NAME}`: it goes to logs and to
 * control clients, and the value may be a secret. Where a part of one would be left, the sentence says less.
 * @param paths whose values the sentence may quote.
 */
export function withoutValues(
  message: string,
  paths: readonly Path[],
  expansions: ReadonlyMap<string, Expansion>,
): string {
  if (expansions.size === 0) return message;
  const quoted = paths.flatMap((path) => expansions.get(formatPath(path)) ?? []);
  let safe = message;
  for (const { written, text, values } of quoted) {
    safe = replaceWhole(safe, text, written);
    for (const [name, value] of values) safe = replaceWhole(safe, value, `\${${name}}`);
  }
  const rest = withoutReferences(safe);
  const betraying = quoted.find(({ text, values }) =>
    [text, ...values.values()].some((value) => sharesRun(rest, value)),
  );
  if (betraying === undefined) return safe;
  return `what the environment has for ${betraying.written} does not fit here`;
}

/** The value, also as a sentence quotes it, where it stands by itself. */
function replaceWhole(message: string, value: string, written: string): string {
  if (value === "") return message;
  const [plain, quoted] = [value, JSON.stringify(value).slice(1, -1)].map((form) =>
    form.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&"),
  );
  const standing = new RegExp(`(?<![\\p{L}\\p{N}])(?:${plain!}|${quoted!})(?![\\p{L}\\p{N}])`, "gu");
  return message.replace(standing, () => written);
}

function withoutReferences(message: string): string {
  return message.replace(/\$\{[^}]*\}/g, " ");
}

function sharesRun(message: string, value: string): boolean {
  const [words, secret] = [message.toLowerCase(), value.toLowerCase()];
  for (let at = 0; at + TELLING <= secret.length; at++) {
    if (words.includes(secret.slice(at, at + TELLING))) return true;
  }
  return false;
}
