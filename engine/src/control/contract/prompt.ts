/** Questions for a person. */
import * as z from "zod";

/** The answer before was wrong. */
const wrongBefore = z.literal(true).optional();

/** A question that only a person can answer. A client that listens to `prompts` says that a person is there. */
const promptQuestion = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("passphrase"), file: z.string(), again: wrongBefore }),
  z.object({ kind: z.literal("password"), user: z.string(), host: z.string(), again: wrongBefore }),
  z.object({
    kind: z.literal("keyboard-interactive"),
    title: z.string(),
    instructions: z.string(),
    prompt: z.string(),
    echo: z.boolean(),
  }),
  /** A host never seen before. The answer is "yes" or nothing. */
  z.object({
    kind: z.literal("host-key"),
    host: z.string(),
    keyType: z.string(),
    /** `SHA256:…`, as OpenSSH writes it. */
    fingerprint: z.string(),
  }),
]);
export type PromptQuestion = z.infer<typeof promptQuestion>;

export const pendingPrompt = z.object({
  id: z.int(),
  upstream: z.string(),
  askedAt: z.number(),
  question: promptQuestion,
});
export type PendingPrompt = z.infer<typeof pendingPrompt>;
