import { z } from "zod";
import type { GrantLimits } from "./authoriser.ts";
import { namePatterns, portRanges } from "../config/values.ts";

/** What a JWT and an external authoriser say of a client, in the same words. */
export const claims = z.object({
  names: namePatterns.default([]),
  ports: portRanges.default([]),
  max_names: z.int().min(0).optional(),
  max_ports: z.int().min(0).optional(),
  max_tunnels: z.int().min(1).optional(),
  requests_per_second: z.number().positive().optional(),
});

/** Up to 128 visible characters. */
export const identityText = z.string().regex(/^[\x21-\x7e]{1,128}$/);

/** The limits of a grant, from claims. */
export function limitsOf(given: Omit<z.output<typeof claims>, "names" | "ports">): GrantLimits {
  return {
    ...(given.max_names !== undefined && { maxNames: given.max_names }),
    ...(given.max_ports !== undefined && { maxPorts: given.max_ports }),
    ...(given.max_tunnels !== undefined && { maxTunnels: given.max_tunnels }),
    ...(given.requests_per_second !== undefined && { requestsPerSecond: given.requests_per_second }),
  };
}
