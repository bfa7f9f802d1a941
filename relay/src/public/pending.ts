import type { StreamReceiver, TunnelStream } from "@sockeye/wire/mux-stream";
import type { Route } from "../dispatch/dispatch.ts";
import type { Refusal, RelayLimits } from "../limits/limits.ts";

/** A stream to the client, undefined where it has as many as it may have; or the limit that is in the way. */
export type Opening = { readonly stream: TunnelStream | undefined } | { readonly refusal: Refusal };

/** Opens a stream that counts as pending until its client takes it up, or it ends. @param source as `Route.open` takes it. */
export function openPending(
  limits: RelayLimits,
  route: Route,
  source: string,
  receiver: StreamReceiver,
): Opening {
  const admission = limits.pending(route.client);
  if ("refusal" in admission) return admission;
  const stream = route.open(source, receiver);
  if (stream?.untaken === true) stream.onTaken = () => admission.slot.release();
  else admission.slot.release();
  return { stream };
}
