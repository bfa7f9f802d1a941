import { didYouMean } from "@sockeye/config-kit/suggest";
import { configKeys } from "./keys.ts";
import { put } from "./layers.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

const PREFIX = "SHOWOFF_";

/** The file's own variable, which is no key of it. */
export const CONFIG_VARIABLE = "SHOWOFF_CONFIG";

/** What the variables set, as a tree. An empty variable counts as none. */
export function treeOfEnvironment(env: Environment): Record<string, unknown> {
  const tree: Record<string, unknown> = {};
  for (const key of configKeys) {
    const value = env[key.variable];
    if (value !== undefined && value !== "") put(tree, key.path, value);
  }
  return tree;
}

/**
 * A sentence for each SHOWOFF_* variable that nothing reads: passed over in silence, a misspelt one leaves its default in
 * force, and that may be an open door.
 */
export function unreadVariables(env: Environment): { readonly variable: string; readonly message: string }[] {
  const known = [CONFIG_VARIABLE, ...configKeys.map((key) => key.variable)];
  return Object.entries(env)
    .filter(([name]) => name.startsWith(PREFIX) && !known.includes(name))
    .filter(([name, value]) => !isServiceLink(name, value ?? ""))
    .map(([variable]) => ({
      variable,
      message: `nothing reads this variable${didYouMean(variable, known)}`,
    }));
}

/**
 * Kubernetes puts variables for each service of a namespace into its pods, named after the service: one that is called
 * showoff makes SHOWOFF_SERVICE_HOST, SHOWOFF_PORT=tcp://… and so on, which nobody has misspelt.
 */
function isServiceLink(name: string, value: string): boolean {
  if (name.endsWith("_SERVICE_HOST")) return true;
  if (/_SERVICE_PORT(_[A-Z0-9_]+)?$/.test(name)) return /^\d+$/.test(value);
  if (/_PORT_\d+_(TCP|UDP|SCTP)_(PROTO|PORT|ADDR)$/.test(name)) return true;
  return /_PORT(_\d+_(TCP|UDP|SCTP))?$/.test(name) && /^(tcp|udp|sctp):\/\//.test(value);
}
