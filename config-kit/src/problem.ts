/** Something wrong, or doubtful, in a configuration file. */
export interface ConfigProblem {
  /** From 1; 0 where no line is at fault. */
  readonly line: number;
  /** From 1, in UTF-16 units; 0 where no line is at fault. */
  readonly column: number;
  /** Where in the tree: `upstreams.production.via`, `routes[2].to`; empty for the whole file. */
  readonly path: string;
  /** One plain sentence that says what would be right. Never holds a secret. */
  readonly message: string;
  /** A remedy, where there is one worth a second sentence. */
  readonly hint?: string | undefined;
}

/** Something found in the plain value of a file; its place in the text is looked up afterwards. */
export interface Finding {
  readonly path: Path;
  readonly part: "key" | "value";
  readonly message: string;
  /** Further paths whose values the sentence quotes. */
  readonly quotes?: readonly Path[];
  /** It is about what was given beside the file, by a flag: no line is at fault. */
  readonly beside?: boolean;
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
