/** What the main process and the engine's process say to each other, apart from the control contract, which has its own ports. */
import * as z from "zod";

const secretName = z.string().min(1).max(512);

export const toEngine = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("start"),
    version: z.string(),
    configFile: z.string(),
    /** Take traffic in at once. */
    connected: z.boolean(),
    /** The system has something to encrypt secrets with; otherwise why not. */
    secrets: z.union([z.literal(true), z.strictObject({ reason: z.string() })]),
  }),
  /** Comes with a port, at whose other end a client of the control contract is. */
  z.strictObject({ kind: z.literal("client") }),
  z.strictObject({ kind: z.literal("ping"), id: z.int() }),
  /** The machine was asleep. */
  z.strictObject({ kind: z.literal("woke-up") }),
  z.strictObject({ kind: z.literal("stop"), now: z.boolean() }),
  z.strictObject({
    kind: z.literal("secret"),
    id: z.int(),
    /** Null: there is none. Absent with `error`. */
    value: z.string().nullable(),
    error: z.string().optional(),
  }),
]);
export type ToEngine = z.infer<typeof toEngine>;

export const fromEngine = z.discriminatedUnion("kind", [
  /** The code is there and waits for `start`. */
  z.strictObject({ kind: z.literal("loaded") }),
  z.strictObject({ kind: z.literal("running") }),
  /** It could not start, and would not the next time either: the configuration is wrong, or can't be read. */
  z.strictObject({ kind: z.literal("refused"), message: z.string() }),
  z.strictObject({ kind: z.literal("pong"), id: z.int() }),
  z.strictObject({ kind: z.literal("read-secret"), id: z.int(), name: secretName }),
  z.strictObject({
    kind: z.literal("write-secret"),
    id: z.int(),
    name: secretName,
    /** Null removes it. */
    value: z.string().max(65_536).nullable(),
  }),
]);
export type FromEngine = z.infer<typeof fromEngine>;
