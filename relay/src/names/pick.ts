import { randomInt } from "node:crypto";
import { randomLabel } from "./id.ts";

/** Choosing a name or port for a client that has no wish of its own. */

/** A pattern leaves this much room for what can't be guessed, or it is taken as too narrow to choose from. */
const MIN_RANDOM = 20;
const MAX_RANDOM = 26;

/**
 * A free name that one of the patterns allows: unguessable where a pattern has a `*`, else a pattern that is a name itself.
 * Undefined where none fits.
 */
export function pickName(patterns: readonly string[], fits: (name: string) => boolean): string | undefined {
  for (const pattern of patterns) {
    const name = fill(pattern);
    if (name !== undefined && fits(name)) return name;
  }
  return undefined;
}

/** The first `*` replaced by random letters, the others by nothing. */
function fill(pattern: string): string | undefined {
  if (!pattern.includes("*")) return pattern;
  const room = 63 - pattern.replaceAll("*", "").length;
  if (room < MIN_RANDOM) return undefined;
  return pattern.replace("*", randomLabel(Math.min(room, MAX_RANDOM))).replaceAll("*", "");
}

/** A free port of the ranges: from a random one upwards, so that ports are not handed out in an order to be foreseen. */
export function pickPort(
  ranges: readonly { readonly low: number; readonly high: number }[],
  isFree: (port: number) => boolean,
): number | undefined {
  const total = ranges.reduce((sum, { low, high }) => sum + high - low + 1, 0);
  if (total === 0) return undefined;
  const start = randomInt(total);
  for (let i = 0; i < total; i++) {
    const port = portAt(ranges, (start + i) % total);
    if (isFree(port)) return port;
  }
  return undefined;
}

function portAt(ranges: readonly { readonly low: number; readonly high: number }[], index: number): number {
  let left = index;
  for (const { low, high } of ranges) {
    if (left <= high - low) return low + left;
    left -= high - low + 1;
  }
  throw new RangeError(`there is no port ${index} in these ranges`);
}
