import type { Authoriser } from "../auth/authoriser.ts";
import type { RelayConfig } from "../config/schema.ts";
import type { Dispatch } from "../dispatch/dispatch.ts";
import type { RelayLimits } from "../limits/limits.ts";
import type { RelayObserver } from "../observer.ts";
import type { OfflinePages } from "../link/offline-pages.ts";
import type { RelayTracer } from "../trace/tracer.ts";
import type { TrustedProxies } from "./forwarded.ts";

/** What every public connection works with. */
export interface PublicContext {
  readonly config: RelayConfig;
  readonly dispatch: Dispatch;
  readonly authoriser: Authoriser;
  readonly limits: RelayLimits;
  readonly trusted: TrustedProxies;
  readonly observer: RelayObserver;
  readonly offlinePages: Pick<OfflinePages, "of">;
  readonly tracer?: RelayTracer | undefined;
  /** Domains under which names are, each with a dot before it. */
  readonly domains: readonly string[];
}

/** The name that a host is under, e.g. "demo" of "demo.relay.example.com"; undefined where it is under none. */
export function nameOf(hostname: string, domains: readonly string[]): string | undefined {
  for (const domain of domains) {
    if (!hostname.endsWith(domain)) continue;
    const name = hostname.slice(0, -domain.length);
    return name.includes(".") ? undefined : name;
  }
  return undefined;
}
