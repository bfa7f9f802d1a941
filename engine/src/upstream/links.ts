/** Who is to blame in a chain of upstreams: each link puts its name before what went wrong on the way to it or in it. */
import type { Duplex } from "node:stream";
import type { CancelSignal } from "../cancel.ts";
import type { Endpoint } from "../endpoint.ts";
import { DialError } from "../errors.ts";
import type { Dialer, DialOptions } from "./dialer.ts";
import { isDirect } from "./direct-upstream.ts";

/** A failure as it leaves the upstream `name`: its own trouble has its name, its targets' trouble stays as it is. */
export function namedFailure(error: unknown, name: string, signal: CancelSignal): unknown {
  if (!(error instanceof DialError) || error.scope === "target") return error;
  // The reason that the dial was given to end with is not the upstream's.
  if (error === signal.reason || error.code === "cancelled") return error;
  return error.asUpstreamFailure(`upstream ${name}`);
}

/**
 * Reaches an upstream's server through `via`. A refusal of that one target is, to whoever dials further, the failure of the
 * upstream that refused, so it gets its name.
 */
export function dialVia(via: Dialer, server: Endpoint, options: DialOptions): Promise<Duplex> {
  const name = isDirect(via) ? undefined : nameOf(via);
  return name === undefined ? via.dial(server, options) : dialNamed(via, name, { server, options });
}

async function dialNamed(
  via: Dialer,
  name: string,
  { server, options }: { readonly server: Endpoint; readonly options: DialOptions },
): Promise<Duplex> {
  try {
    return await via.dial(server, options);
  } catch (error) {
    if (!(error instanceof DialError) || error.scope === "upstream") throw error;
    if (error === options.signal.reason || error.code === "cancelled") throw error;
    throw error.asUpstreamFailure(`upstream ${name}`);
  }
}

/** Trying again unasked would only lock an account, or wear out a warning: somebody has to see to it. */
export function needsPerson(error: unknown): boolean {
  return error instanceof DialError && (error.code === "auth" || error.code === "host-key");
}

function nameOf(dialer: Dialer): string | undefined {
  return "name" in dialer && typeof dialer.name === "string" ? dialer.name : undefined;
}
