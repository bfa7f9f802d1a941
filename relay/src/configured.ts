import { createAuthoriser } from "./auth/create-authoriser.ts";
import type { RelayConfig } from "./config/schema.ts";
import { createLimits } from "./limits/relay-limits.ts";
import { MemoryRegistry } from "./names/memory-registry.ts";
import { notYet } from "./not-yet.ts";
import type { RelayObserver } from "./observer.ts";
import { type Relay, type RelayParts, startRelay } from "./server.ts";

/**
 * Starts a relay of one machine as its configuration says: names in memory, limits in memory, the authoriser that is asked for.
 * @param parts of one's own, instead of those; they stay open when the relay stops.
 * @throws {Error} where a setting is not carried out yet, a file can't be read, nobody would be asked who they are, or an address can't be listened on.
 */
export async function startConfiguredRelay(
  config: RelayConfig,
  observer: RelayObserver,
  parts: Partial<Pick<RelayParts, "authoriser" | "registry" | "limits">> = {},
): Promise<Relay> {
  const missing = notYet(config);
  if (missing.length > 0) throw new Error(missing.join("; "));
  const clock = () => performance.now();
  const authoriser =
    parts.authoriser ??
    (await createAuthoriser(config, (sentence) => observer.problem("authentication", new Error(sentence))));
  const registry =
    parts.registry ??
    new MemoryRegistry({
      policy: config.names.policy,
      allow: config.names.allow,
      reserved: config.names.reserved,
      ports: config.tcp.ports,
      leaseMs: config.names.lease * 1000,
      maxWaiting: config.limits.max_waiting,
      clock,
    });
  const limits = parts.limits ?? createLimits(config.limits, clock);
  const close = () => {
    if (parts.registry === undefined) registry.close();
    if (parts.authoriser === undefined) authoriser.close();
  };
  try {
    return await startRelay({ config, authoriser, registry, limits, observer, onStopped: close });
  } catch (error) {
    close();
    throw error;
  }
}
