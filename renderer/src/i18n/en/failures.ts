/** What failed, by its code. The engine's own sentences are English: before them there is nothing more to say. */
export const failures: {
  readonly of: Readonly<Record<string, string>>;
  /** What belongs in a place of the configuration, by its key; `entry`: an upstream, a relay or a share. */
  readonly belongs: Readonly<Record<string, string>>;
  /** Of any other place. */
  readonly anyProblem: string | undefined;
  /** Several of these words at once. */
  readonly with: (summary: string, detail: string) => string;
} = { of: {}, belongs: {}, anyProblem: undefined, with: (_, detail) => detail };
