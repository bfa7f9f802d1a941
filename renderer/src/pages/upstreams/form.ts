import type { ConfigProblem, EditValue } from "@sockeye/engine/control/contract";

/**
 * An upstream as a form: every value a text, as a person types it. It is made from the configuration, and gives back
 * what differs, so that the file keeps everything that was not touched.
 */

export const upstreamTypes = ["ssh", "socks5", "http"] as const;
export type UpstreamType = (typeof upstreamTypes)[number];

/** How a value stands in the file. */
type Kind = "text" | "list" | "whole" | "boolean" | "duration";

const kinds = {
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
const valuesOf: Readonly<Record<UpstreamType, readonly ValueName[]>> = {
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

export type SecretInput =
  | { readonly kind: "none" }
  /** It stands in the configuration. `text` was written into the file itself, and is not shown. */
  | { readonly kind: "kept"; readonly place: "file" | "keychain" | "text"; readonly label: string }
  /** Typed now. Empty is as good as none. */
  | { readonly kind: "typed"; readonly text: string }
  /** The file whose first line it is. */
  | { readonly kind: "path"; readonly path: string };

export interface UpstreamForm {
  readonly name: string;
  readonly type: UpstreamType;
  readonly values: Readonly<Partial<Record<ValueName, string>>>;
  readonly secrets: Readonly<Record<SecretName, SecretInput>>;
}

/** What a problem can be told beside. */
export type FieldName = "name" | "type" | ValueName | SecretName;

/** What stands for a secret in the file. */
export type SecretReference = Readonly<Record<string, EditValue>>;
type Mapping = Readonly<Record<string, unknown>>;
export type FileUpstream = Readonly<Record<string, EditValue>>;

/** What the configuration shows of a secret that stands in it. */
const MASK = "•••";

export const emptyForm: UpstreamForm = {
  name: "",
  type: "ssh",
  values: {},
  secrets: { password: { kind: "none" }, passphrase: { kind: "none" } },
};

/** @param upstream as `config.read` gives it: checked, defaults filled in, secrets masked. */
export function formOf(name: string, upstream: Mapping): UpstreamForm {
  const type = upstreamTypes.find((one) => one === upstream["type"]) ?? "ssh";
  const auth = isMapping(upstream["auth"]) ? upstream["auth"] : {};
  const given: Mapping = { ...upstream, username: auth["username"] };
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

/** A secret as the configuration shows it. */
export function secretOf(value: unknown): SecretInput {
  if (value === undefined) return { kind: "none" };
  if (isMapping(value) && typeof value["file"] === "string") {
    return { kind: "kept", place: "file", label: value["file"] };
  }
  if (isMapping(value) && typeof value["keychain"] === "string") {
    return { kind: "kept", place: "keychain", label: value["keychain"] };
  }
  return { kind: "kept", place: "text", label: "" };
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

/** The secrets that were typed, of those that this type has. */
export function typedSecrets(form: UpstreamForm): { readonly kind: SecretName; readonly value: string }[] {
  return secretNames.flatMap((kind) => {
    const secret = form.secrets[kind];
    const used = kind === "password" || form.type === "ssh";
    return used && secret.kind === "typed" && secret.text !== "" ? [{ kind, value: secret.text }] : [];
  });
}

/**
 * The upstream as the file would have it.
 * @param references what stands for the secrets that were typed; one that has none is left out.
 */
export function toFile(
  form: UpstreamForm,
  references: Readonly<Partial<Record<SecretName, SecretReference>>> = {},
): FileUpstream {
  const file: Record<string, EditValue> = { type: form.type };
  for (const key of valuesOf[form.type]) {
    if (key === "username") continue;
    const value = fileValue(key, (form.values[key] ?? "").trim());
    if (value !== undefined) file[key] = value;
  }
  const secret = (name: SecretName) => secretInFile(name, form.secrets[name], references[name]);
  if (form.type === "ssh") return { ...file, ...secret("password"), ...secret("passphrase") };
  const username = (form.values.username ?? "").trim();
  const auth = { ...(username !== "" && { username }), ...secret("password") };
  return Object.keys(auth).length > 0 ? { ...file, auth } : file;
}

function fileValue(key: ValueName, text: string): EditValue | undefined {
  if (text === "") return undefined;
  if (key === "agent") return text === "false" ? false : text;
  switch (kinds[key]) {
    case "text":
      return text;
    case "list": {
      const lines = text.split("\n").flatMap((line) => line.trim() || []);
      return lines.length === 1 ? lines[0]! : lines;
    }
    case "boolean":
      return text === "true";
    // What is no number goes as it is, so that the engine says what is wrong with it.
    case "whole":
      return /^\d+$/.test(text) ? Number(text) : text;
    case "duration":
      return /^\d+(\.\d+)?$/.test(text) ? Number(text) : text;
  }
}

/** The keys that stand for a secret in the file. @param reference what `secret.store` gave for one that was typed. */
export function secretInFile(
  name: string,
  secret: SecretInput,
  reference: SecretReference | undefined,
): SecretReference {
  switch (secret.kind) {
    case "none":
      return {};
    case "typed":
      return secret.text === "" ? {} : (reference ?? {});
    case "path":
      return secret.path.trim() === "" ? {} : { [`${name}_file`]: secret.path.trim() };
    case "kept":
      if (secret.place === "keychain") return { [name]: { keychain: secret.label } };
      return secret.place === "file" ? { [`${name}_file`]: secret.label } : { [name]: MASK };
  }
}

/** A secret of a test is not written anywhere: it goes in clear, with `${` as the file writes that. */
export function clearReferences(form: UpstreamForm): Partial<Record<SecretName, SecretReference>> {
  return Object.fromEntries(
    typedSecrets(form).map(({ kind, value }) => [kind, { [kind]: value.replaceAll("${", () => "$${") }]),
  );
}

/** For checking what would be written before anything is stored. */
export function placeholderReferences(form: UpstreamForm): Partial<Record<SecretName, SecretReference>> {
  return Object.fromEntries(
    typedSecrets(form).map(({ kind }) => [kind, { [kind]: { keychain: "not-stored-yet" } }]),
  );
}

/** @param stored what `secret.store` gave. What it takes out of the file, the difference to the file before takes out. */
export function referenceOf(stored: SecretReference): SecretReference {
  return Object.fromEntries(Object.entries(stored).filter(([, value]) => value !== null));
}

/**
 * The keys to write: new and changed ones, and null for those that are gone.
 * @param before undefined where the upstream is new.
 */
export function changesOf(before: FileUpstream | undefined, after: FileUpstream): FileUpstream {
  if (before === undefined) return after;
  const changes = difference(before, after);
  // `user@host` in the file's address was read as two values: one of them alone could contradict the other.
  if ("address" in changes || "user" in changes) {
    return { ...changes, address: after["address"] ?? null, user: after["user"] ?? null };
  }
  return changes;
}

/** New and changed keys, and null for those that are gone. */
export function difference(before: FileUpstream, after: FileUpstream): Record<string, EditValue> {
  const changes: Record<string, EditValue> = {};
  for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const [old, next] = [before[key], after[key]];
    if (JSON.stringify(old) === JSON.stringify(next)) continue;
    if (next === undefined) changes[key] = null;
    else changes[key] = isEditMapping(old) && isEditMapping(next) ? difference(old, next) : next;
  }
  return changes;
}

export function sameForm(a: UpstreamForm, b: UpstreamForm): boolean {
  const plain = (form: UpstreamForm) =>
    JSON.stringify([form.name.trim(), toFile(form, clearReferences(form)), typedSecrets(form)]);
  return plain(a) === plain(b);
}

/** What is wrong, as a key of the sentences. The engine says the rest. */
export type FormError =
  | "nameMissing"
  | "nameShape"
  | "nameReserved"
  | "nameTaken"
  | "addressMissing"
  | "wholePool"
  | "wholeCount"
  | "duration"
  | "usernameMissing"
  | "usernameLong"
  | "usernameColon"
  | "passwordMissing";
export type FormErrors = Readonly<Partial<Record<FieldName, FormError>>>;

const NAME = /^[\p{L}\p{N}][\p{L}\p{N}._-]{0,63}$/u;
const DURATION = /^\d+(\.\d+)? ?(ms|s|m|h)?$/;

/**
 * What can be told without the engine.
 * @param taken the names of the other upstreams.
 */
export function checkForm(form: UpstreamForm, taken: readonly string[]): FormErrors {
  const value = (key: ValueName) => (form.values[key] ?? "").trim();
  const errors: Partial<Record<FieldName, FormError>> = {};
  const name = checkName(form.name.trim(), taken);
  if (name) errors.name = name;
  if (value("address") === "") errors.address = "addressMissing";
  if (!wholeIn(value("pool_size"), 64)) errors.pool_size = "wholePool";
  if (form.type === "ssh") {
    if (!wholeIn(value("keepalive_count_max"), 100)) errors.keepalive_count_max = "wholeCount";
    const interval = value("keepalive_interval");
    if (interval !== "" && !(DURATION.test(interval) && Number.parseFloat(interval) > 0)) {
      errors.keepalive_interval = "duration";
    }
    return errors;
  }
  const username = value("username");
  const hasPassword = Object.keys(toFile(form, placeholderReferences(form))).includes("auth");
  if (new TextEncoder().encode(username).length > 255) errors.username = "usernameLong";
  else if (form.type === "http" && username.includes(":")) errors.username = "usernameColon";
  else if (username === "" && hasPassword) errors.username = "usernameMissing";
  else if (username !== "" && !hasSecret(form)) errors.password = "passwordMissing";
  return errors;
}

function checkName(name: string, taken: readonly string[]): FormError | undefined {
  if (name === "") return "nameMissing";
  if (!NAME.test(name)) return "nameShape";
  if (name === "direct" || name === "block") return "nameReserved";
  return taken.includes(name) ? "nameTaken" : undefined;
}

function wholeIn(text: string, high: number): boolean {
  return text === "" || (/^\d+$/.test(text) && Number(text) >= 1 && Number(text) <= high);
}

function hasSecret(form: UpstreamForm): boolean {
  const secret = form.secrets.password;
  if (secret.kind === "typed") return secret.text !== "";
  return secret.kind === "kept" || (secret.kind === "path" && secret.path.trim() !== "");
}

export interface PlacedProblems {
  readonly fields: Readonly<Partial<Record<FieldName, ConfigProblem>>>;
  /** Of this upstream, without a field of their own, or elsewhere in the file. */
  readonly others: readonly ConfigProblem[];
}

/** The engine's problems, each beside the field that it is about; of several, the first. */
export function placeProblems(problems: readonly ConfigProblem[], name: string): PlacedProblems {
  const fields: Partial<Record<FieldName, ConfigProblem>> = {};
  const others: ConfigProblem[] = [];
  for (const problem of problems) {
    const field = fieldOf(problem.path, name);
    if (field === undefined) others.push(problem);
    else fields[field] ??= problem;
  }
  return { fields, others };
}

function fieldOf(path: string, name: string): FieldName | undefined {
  const whole = `upstreams.${name}`;
  if (path === whole) return "name";
  if (!path.startsWith(`${whole}.`)) return undefined;
  const key = path.slice(whole.length + 1).replace(/\[\d+\]$/, "");
  const inner = key.replace(/^auth\./, "");
  if (key === "auth") return "password";
  const plain = inner.replace(/^(password|passphrase)(_file|\.keychain)?$/, "$1");
  if (plain === "type" || plain === "password" || plain === "passphrase") return plain;
  return Object.hasOwn(kinds, plain) ? (plain as ValueName) : undefined;
}

/** Upstreams that this one may be reached through: not itself, and none that leads back to it. */
export function possibleVia(
  name: string,
  upstreams: readonly { readonly name: string; readonly via?: string | undefined }[],
): string[] {
  const viaOf = new Map(upstreams.map((one) => [one.name, one.via]));
  const leadsBack = (start: string) => {
    const seen = new Set<string>();
    for (let at: string | undefined = start; at !== undefined && !seen.has(at); at = viaOf.get(at)) {
      if (at === name) return true;
      seen.add(at);
    }
    return false;
  };
  return upstreams.map((one) => one.name).filter((one) => one !== "direct" && !leadsBack(one));
}

function isMapping(value: unknown): value is Mapping {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isEditMapping(value: EditValue | undefined): value is FileUpstream {
  return isMapping(value);
}
