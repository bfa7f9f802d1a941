import type { ConfigProblem } from "@sockeye/engine/control/contract";
import { type FieldName, kinds, type UpstreamForm, type ValueName } from "./form.ts";
import { placeholderReferences, toFile } from "./form-file.ts";

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
