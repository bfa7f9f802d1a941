/** Why calls, dials and configurations fail. */
import * as z from "zod";

/** Why a call or a stream failed. A closed list; the sentence beside it is for people. */
export const controlErrorCode = z.enum([
  "bad-request", // the message or its parameters are not of this contract
  "unknown-call", // no call or stream has this name
  "unknown-upstream", // the configuration has no upstream of this name
  "unknown-share", // the configuration has no share of this name, or the share has no request of this number
  "unknown-flow", // the flow has ended, or never was
  "invalid-config", // the text or the upstream has problems; they come with the error
  "conflict", // the file changed since it was read
  "no-config-file", // the engine runs without a file, so there is nothing to read or write
  "limit", // too many calls, subscriptions or clients
  "unavailable", // the engine is starting or draining, or can't do this
  "timeout", // no answer within the caller's deadline
  "closed", // the connection ended before the answer
  "helper", // TUN mode needs the helper, which is not there, is of another version, or refused
  "no-secret-store", // this machine has no keychain that we can use
  "internal", // a defect of ours
]);
export type ControlErrorCode = z.infer<typeof controlErrorCode>;

export const configProblem = z.object({
  /** From 1; 0 where the problem has no place in the text. */
  line: z.int().nonnegative(),
  column: z.int().nonnegative(),
  /** Keys from the root, joined by dots: `upstreams.production.pool_size`. Empty for the file as a whole. */
  path: z.string(),
  message: z.string(),
  /** What would be right. */
  hint: z.string().optional(),
});
export type ConfigProblem = z.infer<typeof configProblem>;

export const controlFailure = z.object({
  code: controlErrorCode,
  message: z.string(),
  problems: z.array(configProblem).optional(),
});
export type ControlFailure = z.infer<typeof controlFailure>;

/** DialErrorCode as it crosses the border: a string to a client, so that an older one reads a newer engine. */
export const dialErrorCode = z.string();

export const dialStep = z.enum(["name", "tcp", "tls", "handshake", "host-key", "auth", "dial"]);
