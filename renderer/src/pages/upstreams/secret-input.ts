import { type FileMapping, isMapping } from "./file-mapping.ts";

/** A secret in a form: one that the configuration has, which is never shown, or one that is typed. */
export type SecretInput =
  | { readonly kind: "none" }
  /** It stands in the configuration. `text` was written into the file itself, and is not shown. */
  | { readonly kind: "kept"; readonly place: "file" | "keychain" | "text"; readonly label: string }
  /** Typed now. Empty is as good as none. */
  | { readonly kind: "typed"; readonly text: string }
  /** The file whose first line it is. */
  | { readonly kind: "path"; readonly path: string };

/** What stands for a secret in the file. */
export type SecretReference = FileMapping;

/** What the configuration shows of a secret that stands in it. */
const MASK = "•••";

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

/** @param stored what `secret.store` gave. What it takes out of the file, the difference to the file before takes out. */
export function referenceOf(stored: SecretReference): SecretReference {
  return Object.fromEntries(Object.entries(stored).filter(([, value]) => value !== null));
}
