/** What the command's exit status means. Above 128 a signal ended it: 130 for SIGINT, 143 for SIGTERM. */
export const ExitCode = {
  ok: 0,
  /** It could not be done: an address in use, a flow that is not there, a defect. */
  failed: 1,
  /** The command line, or a SOCKEYE_* variable, is wrong. */
  usage: 2,
  /** The configuration is wrong, or can't be read. */
  config: 3,
  /** No running engine to ask, or several and no name. */
  noEngine: 4,
  /** `sockeye test`: the upstream does not work. */
  testFailed: 5,
  /** `sockeye share --connect-timeout`: nothing was shared in time. */
  notShared: 6,
} as const;

/** Ends the command with a status and one sentence. */
export class CommandFailure extends Error {
  override readonly name = "CommandFailure";
  readonly exitCode: number;

  constructor(exitCode: number, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.exitCode = exitCode;
  }
}
