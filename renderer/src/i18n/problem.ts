import type { ConfigProblem } from "@sockeye/engine/control/contract";
import type { Text } from "./text.ts";

/**
 * What is wrong in a configuration, in the page's language: what belongs in the place, and the engine's own sentence as a detail. Where the
 * language has no words for the place, as English, the sentence alone.
 */
export function problemText(
  { failures }: Text,
  { path, message }: Pick<ConfigProblem, "path" | "message">,
): string {
  const key = keyOf(path);
  const summary = Object.hasOwn(failures.belongs, key) ? failures.belongs[key] : failures.anyProblem;
  return summary === undefined ? message : failures.with(summary, message);
}

/** The last key of a path, without its place in a list: `match` of `routes[2].match`. */
function keyOf(path: string): string {
  const last = path.slice(path.lastIndexOf(".") + 1).replace(/(\[\d+\])+$/, "");
  // The name of an entry says nothing of what it is.
  return /^(upstreams|relays|shares)\.[^.]+$/.test(path) ? "entry" : last;
}
