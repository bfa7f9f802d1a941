import type { Text } from "./text.ts";

/** Anything with a code of the engine's, or of what stands in traffic's way. */
interface Coded {
  readonly code: string;
  readonly message: string;
}

/** Why something failed, in the page's language; where that has words for the code, the engine's own sentence follows as a detail. */
export function failureText({ failures }: Text, error: unknown): string {
  if (!isCoded(error)) return error instanceof Error ? error.message : String(error);
  const { code, message } = error;
  const summary = Object.hasOwn(failures.of, code) ? failures.of[code] : undefined;
  if (summary === undefined) return message;
  return message === "" ? summary : failures.with(summary, message);
}

function isCoded(error: unknown): error is Coded {
  return (
    typeof error === "object" &&
    error !== null &&
    "code" in error &&
    typeof error.code === "string" &&
    "message" in error &&
    typeof error.message === "string"
  );
}
