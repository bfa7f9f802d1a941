import type { ConfigProblem, ControlErrorCode } from "./contract.ts";

/** A failed call, on either side of the contract. */
export class ControlError extends Error {
  override readonly name = "ControlError";
  readonly code: ControlErrorCode;
  readonly problems: readonly ConfigProblem[] | undefined;

  constructor(
    code: ControlErrorCode,
    message: string,
    details: { readonly problems?: readonly ConfigProblem[]; readonly cause?: unknown } = {},
  ) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.problems = details.problems;
  }
}
