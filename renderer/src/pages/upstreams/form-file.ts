import type { EditValue } from "@sockeye/engine/control/contract";
import { difference, type FileMapping } from "./file-mapping.ts";
import { kinds, type SecretName, secretNames, type UpstreamForm, type ValueName, valuesOf } from "./form.ts";
import { secretInFile, type SecretReference } from "./secret-input.ts";

/**
 * The upstream as the file would have it.
 * @param references what stands for the secrets that were typed; one that has none is left out.
 */
export function toFile(
  form: UpstreamForm,
  references: Readonly<Partial<Record<SecretName, SecretReference>>> = {},
): FileMapping {
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

/** The secrets that were typed, of those that this type has. */
export function typedSecrets(form: UpstreamForm): { readonly kind: SecretName; readonly value: string }[] {
  return secretNames.flatMap((kind) => {
    const secret = form.secrets[kind];
    const used = kind === "password" || form.type === "ssh";
    return used && secret.kind === "typed" && secret.text !== "" ? [{ kind, value: secret.text }] : [];
  });
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

/**
 * The keys to write: new and changed ones, and null for those that are gone.
 * @param before undefined where the upstream is new.
 */
export function changesOf(before: FileMapping | undefined, after: FileMapping): FileMapping {
  if (before === undefined) return after;
  const changes = difference(before, after);
  // `user@host` in the file's address was read as two values: one of them alone could contradict the other.
  if ("address" in changes || "user" in changes) {
    return { ...changes, address: after["address"] ?? null, user: after["user"] ?? null };
  }
  return changes;
}

export function sameForm(a: UpstreamForm, b: UpstreamForm): boolean {
  const plain = (form: UpstreamForm) =>
    JSON.stringify([form.name.trim(), toFile(form, clearReferences(form)), typedSecrets(form)]);
  return plain(a) === plain(b);
}
