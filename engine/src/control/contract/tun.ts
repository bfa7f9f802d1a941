/** What TUN mode needs of the machine. */
import * as z from "zod";

export const helperStatus = z.object({
  /** `foreign`: one that is not of this version. `unsupported`: this system can't have one. */
  state: z.enum(["running", "busy", "absent", "foreign", "unsupported"]),
  version: z.string().optional(),
  /** What this engine wants. */
  expected: z.string(),
  message: z.string(),
});
export type HelperStatus = z.infer<typeof helperStatus>;

export const overlap = z.object({
  cidr: z.string(),
  network: z.string(),
  interface: z.string(),
  kind: z.enum(["local", "container", "vpn"]),
  message: z.string(),
});

export type NetworkOverlap = z.infer<typeof overlap>;
