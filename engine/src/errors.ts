import type { CancelSignal } from "./cancel.ts";

/** Why a dial, or the flow after it, ended. A closed list: codes, not sentences, cross process borders. */
export type DialErrorCode =
  | "refused" // the host answered that nothing listens there
  | "unreachable" // no way to the host or the network
  | "timeout" // no answer within the deadline
  | "dns" // the name does not resolve
  | "tls" // the TLS handshake with a proxy failed
  | "auth" // our credentials were not accepted, or we have none
  | "host-key" // the SSH host key is unknown, changed or revoked
  | "protocol" // the peer broke its protocol
  | "forbidden" // the upstream's policy refuses this target
  | "blocked" // our own routes refuse this target
  | "limit" // a limit of ours, the peer's or the operating system's is reached
  | "closed" // the connection ended while it was needed
  | "unsupported" // the upstream can't do this (UDP through SSH, say)
  | "cancelled" // whoever asked went away
  | "internal"; // a defect of ours

/** The steps of a dial, in the order in which they come; a test names the one that failed. */
export type DialStep = "name" | "tcp" | "tls" | "handshake" | "host-key" | "auth" | "dial";

export interface DialErrorOptions {
  readonly cause?: unknown;
  /** The step at which it ended. */
  readonly step?: DialStep | undefined;
  /** What failed: the way to the upstream, or the target behind a working upstream (the default). */
  readonly scope?: "upstream" | "target";
}

/** The one error class of the engine. `message` is a plain sentence for people; `code` is for programs. */
export class DialError extends Error {
  override readonly name = "DialError";
  readonly code: DialErrorCode;
  readonly step: DialStep | undefined;
  readonly scope: "upstream" | "target";

  constructor(code: DialErrorCode, message: string, options: DialErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.step = options.step;
    this.scope = options.scope ?? "target";
  }

  /** The same failure, seen from a dial that needed this connection only to reach its upstream. */
  asUpstreamFailure(prefix: string): DialError {
    return new DialError(this.code, `${prefix}: ${this.message}`, {
      cause: this,
      step: this.step,
      scope: "upstream",
    });
  }
}

/** The reason a signal was aborted with, as a DialError: its own if it is one, `cancelled` otherwise. */
export function abortReason(signal: CancelSignal): DialError {
  const reason: unknown = signal.reason;
  return reason instanceof DialError
    ? reason
    : new DialError("cancelled", "the dial was cancelled", { cause: reason });
}
