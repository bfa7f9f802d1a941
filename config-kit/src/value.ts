import { z } from "zod";

/**
 * A value of a configuration that `read` accepts.
 * @param wanted what it must be, such as "a whole number from 1 to 64": the message where `read` returns undefined.
 * @param read throws a SyntaxError where it has a sentence of its own, which then is the message, with `params.sentence`.
 */
export function value<T>(wanted: string, read: (input: unknown) => T | undefined) {
  return z.unknown().transform((input, context): T => {
    try {
      const output = read(input);
      if (output !== undefined) return output;
      context.addIssue({ code: "custom", message: wanted });
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      context.addIssue({ code: "custom", message: error.message, params: { sentence: true } });
    }
    return z.NEVER;
  });
}
