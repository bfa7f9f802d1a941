import type { Measured } from "../rounds.ts";
import type { Place } from "./namespaces.ts";

/** A way from the applications to the targets. */
export interface Way extends Measured {
  readonly at: Place;
  /** Whether datagrams can take it. */
  readonly isTunnel: boolean;
}
