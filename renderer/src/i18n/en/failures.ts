/** What failed, by its code. The engine's own sentences are English: before them there is nothing more to say. */
export const failures: {
  readonly of: Readonly<Record<string, string>>;
  /** Several of these words at once. */
  readonly with: (summary: string, detail: string) => string;
} = { of: {}, with: (_, detail) => detail };
