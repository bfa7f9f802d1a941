import type { PortRange } from "./authoriser.ts";
import { createToken, formatToken, hashSecret } from "./token.ts";
import { formatTokenEntry } from "./tokens-file.ts";

/** Changing the text of a tokens file, line by line, so that what people wrote in it stays as it is. */

export interface TokenWish {
  readonly identity: string;
  readonly names: readonly string[];
  readonly ports: readonly PortRange[];
  /** A date. */
  readonly expires?: string | undefined;
}

/** A new token, which is shown once, and its line of the tokens file. */
export function issueToken(wish: TokenWish): {
  readonly id: string;
  readonly token: string;
  readonly line: string;
} {
  const token = createToken();
  const line = formatTokenEntry({ id: token.id, sha256: hashSecret(token.secret), ...wish });
  return { id: token.id, token: formatToken(token), line };
}

/** The file with one more line below `tokens:`, which is added where it is not there. */
export function withEntry(text: string, line: string): string {
  const lines = text.split("\n");
  const at = lines.findIndex((each) => /^tokens:\s*(#.*)?$/.test(each));
  if (at === -1) return `${text}${text === "" || text.endsWith("\n") ? "" : "\n"}tokens:\n${line}\n`;
  return lines.toSpliced(at + 1, 0, line).join("\n");
}

/** The file without the line of this token; undefined where no line of its own has it. */
export function withoutEntry(text: string, id: string): string | undefined {
  const lines = text.split("\n");
  const at = lines.findIndex((line) => new RegExp(`^\\s*- \\{.*\\bid: "?${id}"?[,} ].*\\}\\s*$`).test(line));
  return at === -1 ? undefined : lines.toSpliced(at, 1).join("\n");
}
