import type { ControlEdit } from "@sockeye/engine/control/contract";
import { difference, type FileMapping } from "../upstreams/file-mapping.ts";
import { type SecretInput, secretInFile, secretOf, type SecretReference } from "../upstreams/secret-input.ts";

/** A relay as a form: every value a text, as a person types it. */
export interface RelayForm {
  readonly name: string;
  readonly address: string;
  readonly token: SecretInput;
  readonly tls_ca_file: string;
  readonly tls_cert_file: string;
  readonly tls_key_file: string;
}

export type RelayField = keyof RelayForm;

export type RelayFormError =
  "nameMissing" | "nameShape" | "nameTaken" | "address" | "keyMissing" | "certificateMissing";

export const emptyRelay: RelayForm = {
  name: "",
  address: "",
  token: { kind: "none" },
  tls_ca_file: "",
  tls_cert_file: "",
  tls_key_file: "",
};

/** A relay as `config.read` gives it: checked, defaults filled in, the token masked. */
export type ReadRelay = Readonly<Record<string, unknown>>;

export function relayFormOf(name: string, relay: ReadRelay): RelayForm {
  const text = (key: string) => (typeof relay[key] === "string" ? relay[key] : "");
  return {
    name,
    address: text("address"),
    token: secretOf(relay["token"]),
    tls_ca_file: text("tls_ca_file"),
    tls_cert_file: text("tls_cert_file"),
    tls_key_file: text("tls_key_file"),
  };
}

const NAME = /^[\p{L}\p{N}][\p{L}\p{N}._-]{0,63}$/u;

/** @param taken names of other relays. */
export function checkRelay(
  form: RelayForm,
  taken: readonly string[],
): Partial<Record<RelayField, RelayFormError>> {
  const errors: Partial<Record<RelayField, RelayFormError>> = {};
  const name = form.name.trim();
  if (name === "") errors.name = "nameMissing";
  else if (!NAME.test(name)) errors.name = "nameShape";
  else if (taken.includes(name)) errors.name = "nameTaken";
  if (!/^[^\s/@]+$/.test(form.address.trim())) errors.address = "address";
  const [hasCertificate, hasKey] = [form.tls_cert_file.trim() !== "", form.tls_key_file.trim() !== ""];
  if (hasCertificate && !hasKey) errors.tls_key_file = "keyMissing";
  if (hasKey && !hasCertificate) errors.tls_cert_file = "certificateMissing";
  return errors;
}

/** @param token what stands for a token that was typed. */
function toFile(form: RelayForm, token: SecretReference | undefined): FileMapping {
  const text = (key: "tls_ca_file" | "tls_cert_file" | "tls_key_file") =>
    form[key].trim() === "" ? {} : { [key]: form[key].trim() };
  return {
    address: form.address.trim(),
    ...secretInFile("token", form.token, token),
    ...text("tls_ca_file"),
    ...text("tls_cert_file"),
    ...text("tls_key_file"),
  };
}

/**
 * What makes the configuration say what the form says.
 * @param before undefined where the relay is new.
 */
export function relayEditsOf(
  before: RelayForm | undefined,
  form: RelayForm,
  token: SecretReference | undefined,
): ControlEdit[] {
  const after = toFile(form, token);
  const relay = before ? difference(toFile(before, undefined), after) : after;
  const name = form.name.trim();
  const edits: ControlEdit[] = [];
  if (before && before.name !== name) edits.push({ kind: "rename-relay", name: before.name, to: name });
  if (Object.keys(relay).length > 0) edits.push({ kind: "set-relay", name, relay });
  return edits;
}

/** Keys that the form does not show, and that a relay keeps when the form is saved. */
const UNSHOWN = ["tls_server_name", "links", "one_connection_per_tunnel"];

/** The relay as it would be saved, with a token that was typed, to be tested before. @param read as the configuration has it. */
export function unsavedRelay(read: ReadRelay | undefined, form: RelayForm): Record<string, unknown> {
  const kept = Object.entries(read ?? {}).filter(([key]) => UNSHOWN.includes(key));
  const { token } = form;
  const typed = token.kind === "typed" ? { token: token.text.replaceAll("${", () => "$${") } : undefined;
  return { ...Object.fromEntries(kept), ...explicitTls(read), ...toFile(form, typed) };
}

/** Whether TLS is spoken follows from the address, unless the file says something else. */
function explicitTls(read: ReadRelay | undefined): Record<string, unknown> {
  if (read === undefined) return {};
  const byDefault =
    read["tls_ca_file"] !== undefined ||
    read["tls_cert_file"] !== undefined ||
    !/^(localhost|127\.|\[?::1\]?:)/.test(String(read["address"]));
  return read["tls"] === byDefault ? {} : { tls: read["tls"] };
}

/** The field that a key of the file is shown in. */
export function relayFieldOf(path: string): RelayField | undefined {
  const [, , key = ""] = path.split(".");
  if (key === "") return "name";
  if (key === "token_file") return "token";
  return key in emptyRelay && key !== "name" ? (key as RelayField) : undefined;
}
