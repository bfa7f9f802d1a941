import type { ControlEdit } from "@sockeye/engine/control/contract";
import type { SecretName, UpstreamForm } from "./form.ts";
import { changesOf, toFile } from "./form-file.ts";
import type { SecretReference } from "./secret-input.ts";

/**
 * What makes the configuration say what the form says.
 * @param before undefined where the upstream is new.
 */
export function editsOf(
  before: UpstreamForm | undefined,
  form: UpstreamForm,
  references: Readonly<Partial<Record<SecretName, SecretReference>>>,
): ControlEdit[] {
  const name = form.name.trim();
  const changes = changesOf(before && toFile(before), toFile(form, references));
  const edits: ControlEdit[] = [];
  if (before && before.name !== name) {
    edits.push({ kind: "rename-upstream", name: before.name, to: name });
  }
  if (Object.keys(changes).length > 0) edits.push({ kind: "set-upstream", name, upstream: changes });
  return edits;
}

/** Who leads to an upstream, so that it can't just go. */
export interface References {
  /** Rules that lead to it. */
  readonly rules: number;
  readonly isDefault: boolean;
  /** Upstreams that are reached through it. */
  readonly viaOf: readonly string[];
}

interface ConfigShape {
  readonly routes?: unknown;
  readonly default?: unknown;
  readonly upstreams?: unknown;
}

export function referencesTo(config: ConfigShape, name: string): References {
  const upstreams = Object.entries((config.upstreams ?? {}) as Record<string, { readonly via?: string }>);
  return {
    rules: routesOf(config).filter(({ to }) => to === name).length,
    isDefault: config.default === name,
    viaOf: upstreams.filter(([, { via }]) => via === name).map(([other]) => other),
  };
}

/** Takes an upstream away; what led to it leads to `instead` then. */
export function deletionOf(config: ConfigShape, name: string, instead: string): ControlEdit[] {
  const { rules, isDefault } = referencesTo(config, name);
  const routes = routesOf(config).map(({ match, to }) => ({ match, to: to === name ? instead : to }));
  return [
    ...(rules > 0 ? [{ kind: "set-routes", routes } as const] : []),
    ...(isDefault ? [{ kind: "set-default", to: instead } as const] : []),
    { kind: "delete-upstream", name },
  ];
}

function routesOf({ routes }: ConfigShape): readonly { readonly match: string; readonly to: string }[] {
  return (routes ?? []) as readonly { readonly match: string; readonly to: string }[];
}
