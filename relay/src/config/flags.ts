import { Option } from "commander";
import { type ConfigKey, configKeys } from "./keys.ts";
import { put } from "./layers.ts";
import { CONFIG_VARIABLE } from "./environment.ts";

/** Headings of the help, in the order in which somebody who sets a relay up comes to need them, each with its keys. */
const GROUPS: readonly (readonly [heading: string, keys: RegExp])[] = [
  ["To begin with:", /^(domains|auth\.tokens_file|control\.address|public_http\.address)$/],
  ["TLS for clients:", /^control\.(tls_|client_ca)/],
  ["HTTPS for the public:", /^public_https\.(?!proxy)/],
  ["TCP ports:", /^tcp\.(?!proxy)/],
  ["Behind a load balancer:", /^(public_urls|trusted_proxies|.*proxy_protocol(_out)?)$/],
  ["Who may connect, besides those with tokens:", /^(auth\.|insecure_no_auth$)/],
  ["Names:", /^names\./],
  ["Health, metrics and the dashboard:", /^(admin\.|profiling$|otel_endpoint$)/],
  ["Logs:", /^log\./],
  ["The data listener:", /^data\./],
  ["What passes, and its end:", /^(host_rewrite|heartbeat_interval|drain_timeout)$/],
  ["Limits:", /^limits\./],
];

/** A flag for each key, and `--config`, by groups. Values are taken as they are: what they may be is checked with all the rest. */
export function relayOptions(): Option[] {
  const config = new Option("--config <file>", "configuration file, instead of flags or beside them");
  const groups = GROUPS.map(([heading], at) =>
    configKeys.filter((key) => groupOf(key) === at).map((key) => optionOf(key).helpGroup(heading)),
  );
  return [config.helpGroup(GROUPS[0]![0]), ...groups.flat()];
}

/** What all flags have in common, for the end of the help. */
export const FLAGS_HELP = `\
Every flag has a variable, --control-address SHOWOFF_CONTROL_ADDRESS, and a key in the file, control.address; the file's own
variable is ${CONFIG_VARIABLE}. Flags win over variables, and those over the file.`;

/** What the flags set, as a tree. @param options as commander gives them; those not given are absent. */
export function treeOfFlags(options: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const tree: Record<string, unknown> = {};
  for (const key of configKeys) {
    const value = options[optionOf(key).attributeName()];
    if (value !== undefined) put(tree, key.path, value);
  }
  return tree;
}

function groupOf({ path }: ConfigKey): number {
  const name = path.join(".");
  const group = GROUPS.findIndex(([, keys]) => keys.test(name));
  if (group === -1) throw new TypeError(`${name} is under no heading of the help`);
  return group;
}

function optionOf(key: ConfigKey): Option {
  const value = key.isSwitch ? "[true|false]" : "<value>";
  const byDefault = describeDefault(key.default);
  return new Option(`${key.flag} ${value}`, byDefault === "" ? key.help : `${key.help} (${byDefault})`);
}

function describeDefault(value: unknown): string {
  if (Array.isArray(value)) return value.length === 0 ? "" : `default: ${value.join()}`;
  return typeof value === "string" || typeof value === "number" ? `default: ${value}` : "";
}
