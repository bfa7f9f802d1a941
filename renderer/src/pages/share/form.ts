import type { ControlEdit } from "@sockeye/engine/control/contract";
import { difference, type FileMapping } from "../upstreams/file-mapping.ts";
import { type SecretInput, secretInFile, secretOf, type SecretReference } from "../upstreams/secret-input.ts";

/** A share as a form: every value a text, as a person types it, with the relay that is to be added for it. */
export interface ShareForm {
  readonly name: string;
  readonly kind: "http" | "tcp";
  readonly target: string;
  /** The name of a relay; empty for one that is added now. */
  readonly relay: string;
  readonly publicName: string;
  readonly port: string;
  readonly host_header: string;
  readonly username: string;
  readonly password: SecretInput;
  /** A network a line. */
  readonly allow: string;
  readonly offline_page: string;
  readonly inspect: boolean;
  readonly relayName: string;
  readonly relayAddress: string;
  readonly token: SecretInput;
  readonly relayCa: string;
}

export type ShareField = Exclude<keyof ShareForm, "kind">;

export type ShareFormError =
  | "nameMissing"
  | "nameShape"
  | "nameTaken"
  | "targetMissing"
  | "targetScheme"
  | "targetShape"
  | "publicName"
  | "port"
  | "usernameMissing"
  | "usernameColon"
  | "passwordMissing"
  | "allow"
  | "relayNameMissing"
  | "relayNameTaken"
  | "relayAddress";

export const emptyShare: ShareForm = {
  name: "",
  kind: "http",
  target: "",
  relay: "",
  publicName: "",
  port: "",
  host_header: "",
  username: "",
  password: { kind: "none" },
  allow: "",
  offline_page: "",
  inspect: true,
  relayName: "",
  relayAddress: "",
  token: { kind: "none" },
  relayCa: "",
};

/** @param share as `config.read` gives it: checked, defaults filled in, secrets masked. */
export function shareFormOf(name: string, share: Readonly<Record<string, unknown>>): ShareForm {
  const text = (key: string) => {
    const value = share[key];
    return typeof value === "string" || typeof value === "number" ? String(value) : "";
  };
  const auth = (share["basic_auth"] ?? {}) as Readonly<Record<string, unknown>>;
  const allow = Array.isArray(share["allow"]) ? (share["allow"] as string[]) : [];
  return {
    ...emptyShare,
    name,
    kind: share["kind"] === "tcp" ? "tcp" : "http",
    target: text("target").replace(/^localhost:/, ""),
    relay: text("relay"),
    publicName: text("name"),
    port: text("port"),
    host_header: text("host_header"),
    username: typeof auth["username"] === "string" ? auth["username"] : "",
    password: secretOf(auth["password"]),
    allow: allow.join("\n"),
    offline_page: text("offline_page"),
    inspect: share["inspect"] !== false,
  };
}

export interface Taken {
  /** Names of other shares. */
  readonly shares: readonly string[];
  readonly relays: readonly string[];
}

const NAME = /^[\p{L}\p{N}][\p{L}\p{N}._-]{0,63}$/u;
const PUBLIC_NAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
/** Enough to notice a slip while it is typed; the engine knows for sure. */
const NETWORK = /^(\d{1,3}(\.\d{1,3}){3}|[0-9a-f:]*:[0-9a-f:.]*)(\/\d{1,3})?$/i;

export function checkShare(form: ShareForm, taken: Taken): Partial<Record<ShareField, ShareFormError>> {
  const errors: Partial<Record<ShareField, ShareFormError>> = {};
  const name = form.name.trim();
  if (name === "") errors.name = "nameMissing";
  else if (!NAME.test(name)) errors.name = "nameShape";
  else if (taken.shares.includes(name)) errors.name = "nameTaken";
  const target = targetError(form.target.trim());
  if (target !== undefined) errors.target = target;
  if (form.relay === "") {
    const relay = form.relayName.trim();
    if (!NAME.test(relay)) errors.relayName = relay === "" ? "relayNameMissing" : "nameShape";
    else if (taken.relays.includes(relay)) errors.relayName = "relayNameTaken";
    if (!/^[^\s/@]+$/.test(form.relayAddress.trim())) errors.relayAddress = "relayAddress";
  }
  if (allowOf(form).some((line) => !NETWORK.test(line))) errors.allow = "allow";
  if (form.kind === "tcp") {
    if (form.port.trim() !== "" && !isPort(form.port.trim())) errors.port = "port";
    return errors;
  }
  if (form.publicName.trim() !== "" && !PUBLIC_NAME.test(form.publicName.trim()))
    errors.publicName = "publicName";
  const hasPassword = !isEmpty(form.password);
  if (form.username === "" && hasPassword) errors.username = "usernameMissing";
  else if (form.username.includes(":")) errors.username = "usernameColon";
  else if (form.username !== "" && !hasPassword) errors.password = "passwordMissing";
  return errors;
}

function targetError(target: string): ShareFormError | undefined {
  if (target === "") return "targetMissing";
  if (/^[a-z]+:\/\//i.test(target)) return "targetScheme";
  const port = /^(?:.+:)?(\d+)$/.exec(target)?.[1];
  return port !== undefined && isPort(port) ? undefined : "targetShape";
}

function isPort(text: string): boolean {
  return /^\d{1,5}$/.test(text) && Number(text) >= 1 && Number(text) <= 65_535;
}

function isEmpty(secret: SecretInput): boolean {
  if (secret.kind === "typed") return secret.text === "";
  return secret.kind === "none" || (secret.kind === "path" && secret.path.trim() === "");
}

function allowOf({ allow }: ShareForm): string[] {
  return allow
    .split(/[\s,]+/)
    .map((line) => line.trim())
    .filter((line) => line !== "");
}

/** What a public name may be made of a name. */
export function publicNameOf(name: string): string {
  return name
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "-")
    .replace(/^-+/, "")
    .slice(0, 63)
    .replace(/-+$/, "");
}

/** What stands for secrets that were typed. */
export interface ShareReferences {
  readonly password?: SecretReference | undefined;
  readonly token?: SecretReference | undefined;
}

function toFile(form: ShareForm, references: ShareReferences): FileMapping {
  const target = form.target.trim();
  const text = (key: string, value: string) => (value.trim() === "" ? {} : { [key]: value.trim() });
  const allow = allowOf(form);
  const common = {
    target: isPort(target) ? Number(target) : target,
    relay: form.relay === "" ? form.relayName.trim() : form.relay,
    ...(allow.length > 0 && { allow }),
  };
  if (form.kind === "tcp")
    return { kind: "tcp", ...common, ...(form.port.trim() !== "" && { port: Number(form.port) }) };
  return {
    ...common,
    ...text("name", form.publicName),
    ...text("host_header", form.host_header),
    ...(form.username !== "" && {
      basic_auth: {
        username: form.username,
        ...secretInFile("password", form.password, references.password),
      },
    }),
    ...text("offline_page", form.offline_page),
    ...(!form.inspect && { inspect: false }),
  };
}

/**
 * What makes the configuration say what the form says.
 * @param before undefined where the share is new.
 */
export function editsOf(
  before: ShareForm | undefined,
  form: ShareForm,
  references: ShareReferences,
): ControlEdit[] {
  const edits: ControlEdit[] = [];
  const name = form.name.trim();
  if (form.relay === "") {
    const ca = form.relayCa.trim();
    edits.push({
      kind: "set-relay",
      name: form.relayName.trim(),
      relay: {
        address: form.relayAddress.trim(),
        ...secretInFile("token", form.token, references.token),
        ...(ca !== "" && { tls_ca_file: ca }),
      },
    });
  }
  if (before && before.name !== name) edits.push({ kind: "rename-share", name: before.name, to: name });
  const after = toFile(form, references);
  const changes = before ? difference(toFile(before, {}), after) : after;
  if (Object.keys(changes).length > 0) edits.push({ kind: "set-share", name, share: changes });
  return edits;
}

/** The field that a key of the file is shown in. */
export function fieldOf(path: string): ShareField | undefined {
  const [, , key = "", inner] = path.split(".");
  if (path.startsWith("relays.")) return key === "address" ? "relayAddress" : "relayName";
  switch (key) {
    case "name":
      return "publicName";
    case "basic_auth":
      return inner === "username" ? "username" : "password";
    case "target":
    case "relay":
    case "port":
    case "host_header":
    case "offline_page":
      return key;
    default:
      return key.startsWith("allow") ? "allow" : key === "" ? "name" : undefined;
  }
}
