/** Something wrong, or doubtful, in a configuration file. */
export interface ConfigProblem {
  /** From 1. */
  readonly line: number;
  /** From 1, in UTF-16 units. */
  readonly column: number;
  /** Where in the tree: `upstreams.production.via`, `routes[2].to`; empty for the whole file. */
  readonly path: string;
  /** One plain sentence that says what would be right. Never holds a secret. */
  readonly message: string;
  /** A remedy, where there is one worth a second sentence. */
  readonly hint?: string | undefined;
}

/** Keys and list positions from the root. */
export type Path = readonly (string | number)[];

/** `["routes", 2, "to"]` as `routes[2].to`. */
export function formatPath(path: Path): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === "number") return `${text}[${part}]`;
    return text === "" ? part : `${text}.${part}`;
  }, "");
}

/** Of a file wrong in more places, the first that many are told. */
export const MAX_PROBLEMS = 1000;
