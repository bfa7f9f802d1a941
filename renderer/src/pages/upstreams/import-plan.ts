import type { ControlEdit, EditValue, ImportedUpstream } from "@sockeye/engine/control/contract";
import type { SecretName } from "./form.ts";
import type { SecretReference } from "./secret-input.ts";

/** A secret that stood in what was imported. */
export interface FoundSecret {
  readonly kind: SecretName;
  readonly value: string;
}

/** Those to begin with: not what is there already. */
export function firstChoice(found: readonly ImportedUpstream[]): ReadonlySet<string> {
  return new Set(found.filter(({ sameAs }) => sameAs === undefined).map(({ name }) => name));
}

/** Which of the chosen ones needs each upstream that was found: it is reached through it. */
export function neededBy(
  found: readonly ImportedUpstream[],
  chosen: ReadonlySet<string>,
): ReadonlyMap<string, string> {
  const byName = new Map(found.map((one) => [one.name, one]));
  const needed = new Map<string, string>();
  for (const start of chosen) {
    let name = start;
    for (
      let via = viaOf(byName.get(name));
      via !== undefined && byName.has(via);
      via = viaOf(byName.get(name))
    ) {
      if (needed.has(via)) break;
      needed.set(via, name);
      name = via;
    }
  }
  return needed;
}

function viaOf(upstream: ImportedUpstream | undefined): string | undefined {
  const via = upstream?.upstream["via"];
  return typeof via === "string" ? via : undefined;
}

/** In clear: a variable or a reference is none. */
export function secretsIn({ upstream }: ImportedUpstream): FoundSecret[] {
  const isClear = (value: unknown): value is string =>
    typeof value === "string" && value !== "" && !/^\$\{\w+\}$/.test(value);
  const password = upstream["password"] ?? authOf(upstream)?.["password"];
  const passphrase = upstream["passphrase"];
  return [
    ...(isClear(password) ? [{ kind: "password", value: password } as const] : []),
    ...(isClear(passphrase) ? [{ kind: "passphrase", value: passphrase } as const] : []),
  ];
}

/** Whether the engine can ask for what this upstream needs. */
export function canAsk({ upstream }: ImportedUpstream): boolean {
  return (upstream["type"] ?? "ssh") === "ssh";
}

/**
 * The edit that adds it.
 * @param references what stands for its secrets; one that has none is left out, and a login that has no password then too.
 */
export function additionOf(
  imported: ImportedUpstream,
  references: Readonly<Partial<Record<SecretName, SecretReference>>>,
): ControlEdit {
  const upstream: Record<string, EditValue> = { ...(imported.upstream as Record<string, EditValue>) };
  const auth = authOf(upstream);
  for (const { kind } of secretsIn(imported)) {
    if (auth && kind === "password") {
      const login = { ...auth };
      delete login["password"];
      const reference = references.password;
      if (reference) upstream["auth"] = { ...login, ...reference };
      else delete upstream["auth"];
    } else {
      delete upstream[kind];
      Object.assign(upstream, references[kind]);
    }
  }
  return { kind: "set-upstream", name: imported.name, upstream };
}

function authOf(upstream: Readonly<Record<string, unknown>>): Record<string, EditValue> | undefined {
  const auth = upstream["auth"];
  return typeof auth === "object" && auth !== null && !Array.isArray(auth)
    ? (auth as Record<string, EditValue>)
    : undefined;
}
