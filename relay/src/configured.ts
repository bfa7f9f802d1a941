import { AdminSide } from "./admin/admin-side.ts";
import { createAuthoriser } from "./auth/create-authoriser.ts";
import type { RelayConfig } from "./config/schema.ts";
import { createLimits } from "./limits/relay-limits.ts";
import { MemoryRegistry } from "./names/memory-registry.ts";
import { notYet } from "./not-yet.ts";
import type { RelayObserver } from "./observer.ts";
import { joined } from "./observers.ts";
import { type Relay, type RelayParts, startRelay } from "./server.ts";
import type { OtlpTracer } from "./trace/otlp-tracer.ts";

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
  /** What is opened here, and closed when the relay has stopped. */
  const opened = new AsyncDisposableStack();
  try {
    return await startRelay({
      config,
      ...(await openObservers(config, observer, opened)),
      authoriser: parts.authoriser ?? (await openAuthoriser(config, observer, opened)),
      registry: parts.registry ?? openRegistry(config, opened),
      limits: parts.limits ?? createLimits(config.limits, clock),
      onStopped: () => opened.disposeAsync(),
    });
  } catch (error) {
    await opened.disposeAsync();
    throw error;
  }
}

const clock = () => performance.now();

async function openObservers(
  config: RelayConfig,
  given: RelayObserver,
  opened: AsyncDisposableStack,
): Promise<Pick<RelayParts, "admin" | "tracer" | "observer">> {
  const observers = [given];
  const report = (what: string) => (sentence: string) => given.problem(what, new Error(sentence));
  const admin =
    config.admin.address === "off"
      ? undefined
      : opened.use(await AdminSide.open(config, report("the admin listener's credentials")));
  if (admin !== undefined) observers.push(admin.observer);
  const tracer = await openTracer(config, report("traces"));
  if (tracer !== undefined) observers.push(opened.use(tracer).observer);
  return { admin, tracer, observer: joined(observers) };
}

/** What it takes is loaded where traces are asked for alone. */
async function openTracer(
  { otel_endpoint }: RelayConfig,
  onProblem: (sentence: string) => void,
): Promise<OtlpTracer | undefined> {
  if (otel_endpoint === undefined) return undefined;
  const { OtlpTracer } = await import("./trace/otlp-tracer.ts");
  return new OtlpTracer(otel_endpoint, onProblem);
}

async function openAuthoriser(
  config: RelayConfig,
  observer: RelayObserver,
  opened: AsyncDisposableStack,
): Promise<RelayParts["authoriser"]> {
  const authoriser = await createAuthoriser(config, (sentence) =>
    observer.problem("authentication", new Error(sentence)),
  );
  opened.defer(() => authoriser.close());
  return authoriser;
}

function openRegistry(config: RelayConfig, opened: AsyncDisposableStack): MemoryRegistry {
  const registry = new MemoryRegistry({
    policy: config.names.policy,
    allow: config.names.allow,
    reserved: config.names.reserved,
    ports: config.tcp.ports,
    leaseMs: config.names.lease * 1000,
    maxWaiting: config.limits.max_waiting,
    clock,
  });
  opened.defer(() => registry.close());
  return registry;
}
