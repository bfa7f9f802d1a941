/** Log records. */
import * as z from "zod";

export const logRecord = z.object({
  /** Counts up by one per record. (`seq` among the fields is the flow's number.) */
  id: z.int(),
  time: z.number(),
  level: z.enum(["trace", "debug", "info", "warn", "error"]),
  message: z.string(),
  /** Everything else: upstream, target, seq, request_id, duration_ms, … */
  fields: z.record(z.string(), z.unknown()),
});
export type LogRecord = z.infer<typeof logRecord>;
