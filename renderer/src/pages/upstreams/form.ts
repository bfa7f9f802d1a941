import { isMapping } from "./file-mapping.ts";
import { type SecretInput, secretOf } from "./secret-input.ts";

/**
 * An upstream as a form: every value a text, as a person types it. It is made from the configuration, and gives back
 * what differs, so that the file keeps everything that was not touched.
 */

export const upstreamTypes = ["ssh", "socks5", "http"] as const;
export type UpstreamType = (typeof upstreamTypes)[number];

/** How a value stands in the file. */
type Kind = "text" | "list" | "whole" | "boolean" | "duration";

export const kinds = {
  address: "text",
  user: "text",
  identity_file: "list",
  agent: "text",
  known_hosts_file: "list",
  host_key_check: "text",
  ssh_config: "boolean",
  ssh_config_file: "text",
  keepalive_interval: "duration",
  keepalive_count_max: "whole",
  username: "text",
  udp: "boolean",
  tls: "boolean",
  tls_ca_file: "text",
  tls_server_name: "text",
  pool_size: "whole",
  strategy: "text",
  via: "text",
} as const satisfies Record<string, Kind>;
export type ValueName = keyof typeof kinds;

const common = ["address", "pool_size", "strategy", "via"] as const;
export const valuesOf: Readonly<Record<UpstreamType, readonly ValueName[]>> = {
  ssh: [
    ...common,
    "user",
    "identity_file",
    "agent",
    "known_hosts_file",
    "host_key_check",
    "ssh_config",
    "ssh_config_file",
    "keepalive_interval",
    "keepalive_count_max",
  ],
  socks5: [...common, "username", "udp"],
  http: [...common, "username", "tls", "tls_ca_file", "tls_server_name"],
};

/** What the engine fills in: a field that has it stands empty, and nothing is written for it. */
const defaults: Readonly<Partial<Record<ValueName, string>>> = {
  pool_size: "1",
  strategy: "round-robin",
  ssh_config: "true",
  udp: "true",
  tls: "false",
};

/** The engine shows the usual file by its whole path, which is empty here: a form without it says the same. */
const USUAL_SSH_CONFIG = /^(\/root|\/(home|Users)\/[^/]+|[A-Z]:\\Users\\[^\\]+)[/\\]\.ssh[/\\]config$/i;

export const secretNames = ["password", "passphrase"] as const;
export type SecretName = (typeof secretNames)[number];

export interface UpstreamForm {
  readonly name: string;
  readonly type: UpstreamType;
  readonly values: Readonly<Partial<Record<ValueName, string>>>;
  readonly secrets: Readonly<Record<SecretName, SecretInput>>;
}

/** What a problem can be told beside. */
export type FieldName = "name" | "type" | ValueName | SecretName;

export const emptyForm: UpstreamForm = {
  name: "",
  type: "ssh",
  values: {},
  secrets: { password: { kind: "none" }, passphrase: { kind: "none" } },
};

/** @param upstream as `config.read` gives it: checked, defaults filled in, secrets masked. */
export function formOf(name: string, upstream: Readonly<Record<string, unknown>>): UpstreamForm {
  const type = upstreamTypes.find((one) => one === upstream["type"]) ?? "ssh";
  const auth = isMapping(upstream["auth"]) ? upstream["auth"] : {};
  const given: Readonly<Record<string, unknown>> = { ...upstream, username: auth["username"] };
  const values: Partial<Record<ValueName, string>> = {};
  for (const key of valuesOf[type]) {
    const text = textOf(kinds[key], given[key]);
    const usual = text === defaults[key] || (key === "ssh_config_file" && USUAL_SSH_CONFIG.test(text));
    if (text !== "" && !usual) values[key] = text;
  }
  return {
    name,
    type,
    values,
    secrets: {
      password: secretOf(type === "ssh" ? upstream["password"] : auth["password"]),
      passphrase: secretOf(upstream["passphrase"]),
    },
  };
}

function textOf(kind: Kind, value: unknown): string {
  if (Array.isArray(value)) return value.map(String).join("\n");
  if (typeof value === "number") return kind === "duration" ? `${value}s` : String(value);
  return typeof value === "string" || typeof value === "boolean" ? String(value) : "";
}

/** What stands in a field, for comparing it with what stood there. */
export function valueOf(form: UpstreamForm, field: FieldName): string {
  switch (field) {
    case "name":
    case "type":
      return form[field];
    case "password":
    case "passphrase":
      return JSON.stringify(form.secrets[field]);
    default:
      return form.values[field] ?? "";
  }
}

/** A copy under another name. A secret that stands in the file itself can't be copied: we never saw it. */
export function duplicateOf(form: UpstreamForm, name: string): UpstreamForm {
  const copied = (secret: SecretInput): SecretInput =>
    secret.kind === "kept" && secret.place === "text" ? { kind: "none" } : secret;
  const { password, passphrase } = form.secrets;
  return { ...form, name, secrets: { password: copied(password), passphrase: copied(passphrase) } };
}

/** `bastion-2`, `bastion-3`, …: the first that is free. */
export function freeName(name: string, taken: readonly string[]): string {
  const stem = name.replace(/-\d+$/, "");
  for (let number = 2; ; number++) {
    const ending = `-${number}`;
    const candidate = stem.slice(0, 64 - ending.length) + ending;
    if (!taken.includes(candidate)) return candidate;
  }
}
