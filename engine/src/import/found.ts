/** An upstream as one of the readers found it, before it has a free name. */
export interface Found {
  /** What other finds of the same text call it by in `via`. */
  readonly id: string;
  /** As the source calls it. */
  readonly name: string;
  /** Keys of the configuration file, without `via`. */
  readonly upstream: Readonly<Record<string, unknown>>;
  /** The id of the find that it is reached through. */
  readonly via?: string | undefined;
  readonly from: string;
  readonly warnings: readonly string[];
}

export interface Skipped {
  readonly from: string;
  readonly why: string;
}

export interface Finds {
  readonly found: readonly Found[];
  readonly skipped: readonly Skipped[];
}

export const nothingFound: Finds = { found: [], skipped: [] };

export function joinFinds(all: readonly Finds[]): Finds {
  return { found: all.flatMap(({ found }) => found), skipped: all.flatMap(({ skipped }) => skipped) };
}

/** What can't be read as what it looks like; becomes an entry of `skipped`. */
export class ImportError extends Error {
  override readonly name = "ImportError";
}

/** `${` begins a variable in the file, and what comes from elsewhere may name none. */
export function literal(text: string): string {
  return text.replaceAll("${", () => "$${");
}

/** A text for people, no longer than a line of a list. */
export function excerpt(text: string): string {
  const line = text.trim().replace(/\s+/g, " ");
  return line.length > 80 ? `${line.slice(0, 79)}…` : line;
}
