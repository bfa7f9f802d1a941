import type { ResetReason } from "@sockeye/wire/mux-frames";

/** Why the local service could not be reached. */
export interface LocalFailure {
  readonly reason: ResetReason;
  readonly message: string;
}

/** A system's error of a connection, in words for whoever runs the local service. */
export function localFailureOf(error: NodeJS.ErrnoException): LocalFailure {
  return { reason: reasonOf(error), message: messageOf(error) };
}

function reasonOf(error: NodeJS.ErrnoException): ResetReason {
  switch (error.code) {
    case "ECONNREFUSED":
      return "refused";
    case "ETIMEDOUT":
      return "timeout";
    default:
      return "unreachable";
  }
}

function messageOf(error: NodeJS.ErrnoException): string {
  switch (error.code) {
    case "ECONNREFUSED":
      return "it refused the connection";
    case "ENOTFOUND":
      return "its name can't be resolved";
    default:
      return error.message;
  }
}
