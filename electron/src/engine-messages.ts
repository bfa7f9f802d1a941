/** What the main process and the engine's process say to each other, apart from the control contract, which has its own ports. */
import { configProblem } from "@sockeye/engine/control/contract";
import * as z from "zod";

const secretName = z.string().min(1).max(512);
const secretQuestion = z.discriminatedUnion("what", [
  z.strictObject({ what: z.literal("available") }),
  z.strictObject({ what: z.literal("read"), name: secretName }),
  z.strictObject({ what: z.literal("write"), name: secretName, value: z.string().max(65_536) }),
  z.strictObject({ what: z.literal("remove"), name: secretName }),
]);
const secretAnswer = z.strictObject({
  /** Of `read`, where there is such a secret. */
  value: z.string().optional(),
  error: z.string().optional(),
});
export type SecretAnswer = z.infer<typeof secretAnswer>;

export const toEngine = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("start"),
    version: z.string(),
    configFile: z.string(),
    /** Where the upstreams' numbers are kept. */
    history: z.string(),
    /** Take traffic in at once. */
    connected: z.boolean(),
  }),
  /** Comes with a port, at whose other end a client of the control contract is. */
  z.strictObject({ kind: z.literal("client") }),
  z.strictObject({ kind: z.literal("ping"), id: z.int() }),
  /** The machine was asleep. */
  z.strictObject({ kind: z.literal("woke-up") }),
  z.strictObject({ kind: z.literal("stop"), now: z.boolean() }),
  z.strictObject({ kind: z.literal("secret"), id: z.uuid(), answer: secretAnswer }),
]);
export type ToEngine = z.infer<typeof toEngine>;

export const fromEngine = z.discriminatedUnion("kind", [
  /** The code is there and waits for `start`. */
  z.strictObject({ kind: z.literal("loaded") }),
  z.strictObject({ kind: z.literal("running") }),
  /** It could not start, and would not the next time either: the configuration is wrong, or can't be read. */
  z.strictObject({
    kind: z.literal("refused"),
    message: z.string(),
    /** What is wrong in the configuration, where that is it. */
    problems: z.array(configProblem).optional(),
  }),
  z.strictObject({ kind: z.literal("pong"), id: z.int() }),
  z.strictObject({ kind: z.literal("secret"), id: z.uuid(), ask: secretQuestion }),
]);
export type FromEngine = z.infer<typeof fromEngine>;
