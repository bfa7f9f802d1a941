import { type Document, type YAMLSeq, isAlias, isMap, isScalar, isSeq, parseDocument } from "yaml";
import type { ListenConfig, RouteConfig } from "./config.ts";
import { isClearText } from "./write.ts";

export type EditValue = string | number | boolean | null | readonly EditValue[] | EditMapping;
/** Keys of the file. A key that is null is taken out; one that is not named stays as it is. */
export interface EditMapping {
  readonly [key: string]: EditValue;
}

/** One change to the text of a configuration. Texts are written as they are: `${NAME}` in them is a variable. */
export type ConfigEdit =
  /** Adds the upstream, or changes the keys that are named. */
  | { readonly kind: "set-upstream"; readonly name: string; readonly upstream: EditMapping }
  | { readonly kind: "delete-upstream"; readonly name: string }
  /** The whole list. Rules that were there keep their comments. */
  | { readonly kind: "set-routes"; readonly routes: readonly RouteConfig[] }
  | { readonly kind: "set-default"; readonly to: string }
  /** `value` null removes the listener. */
  | {
      readonly kind: "set-listen";
      readonly listener: keyof ListenConfig;
      readonly value: string | EditMapping | null;
    };

/**
 * Applies edits in order, and keeps comments and what the edits do not name. The result may not be a right configuration:
 * writeConfig checks it.
 * @throws {SyntaxError} when the text is not YAML, or an edit would write a secret in clear.
 */
export function editConfig(text: string, edits: readonly ConfigEdit[]): string {
  const document: Document = parseDocument(text, { prettyErrors: false, uniqueKeys: false });
  if (document.errors.length > 0 || (document.contents !== null && !isMap(document.contents))) {
    throw new SyntaxError(
      "the configuration can't be edited until its YAML is right; run sockeye check on it",
    );
  }
  if (document.contents === null) document.contents = document.createNode({});
  for (const edit of edits) apply(document, edit);
  const written = document.toString({ lineWidth: 0 });
  return text.includes("\r\n") ? written.replaceAll("\n", "\r\n") : written;
}

function apply(document: Document, edit: ConfigEdit): void {
  switch (edit.kind) {
    case "set-upstream":
      merge(document, ["upstreams", edit.name], edit.upstream);
      return;
    case "delete-upstream":
      remove(document, ["upstreams", edit.name]);
      return;
    case "set-routes":
      setRoutes(document, edit.routes);
      return;
    case "set-default":
      merge(document, ["default"], edit.to);
      return;
    case "set-listen":
      merge(document, ["listen", edit.listener], edit.value);
      return;
  }
}

function merge(document: Document, path: readonly string[], value: EditValue): void {
  if (value === null) {
    remove(document, path);
    return;
  }
  const key = path.at(-1);
  if (
    (key === "password" || key === "passphrase") &&
    typeof value !== "object" &&
    isClearText(String(value))
  ) {
    throw new SyntaxError(`${key} would stand in clear in the file; use ${key}_file, a keychain or \${NAME}`);
  }
  openWay(document, path);
  const present = document.getIn(path, true);
  if (isMapping(value)) {
    if (!isMap(present)) document.setIn(path, document.createNode({}));
    for (const [inner, next] of Object.entries(value)) merge(document, [...path, inner], next);
  } else if (isScalar(present) && typeof value !== "object") {
    present.value = value;
  } else document.setIn(path, document.createNode(value));
}

function remove(document: Document, path: readonly string[]): void {
  if (!document.hasIn(path.slice(0, -1))) return;
  openWay(document, path.slice(0, -1));
  if (document.hasIn(path)) document.deleteIn(path);
}

function isMapping(value: EditValue): value is EditMapping {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Makes every step of `path` but the last a mapping; an alias becomes a copy, so that only this place changes. */
function openWay(document: Document, path: readonly string[]): void {
  for (let depth = 1; depth <= path.length; depth++) {
    const step = path.slice(0, depth);
    const node = document.getIn(step, true);
    if (isAlias(node)) {
      const copy = node.resolve(document)?.clone();
      if (copy && "anchor" in copy) delete copy.anchor;
      document.setIn(step, copy);
    } else if (depth < path.length && !isMap(node)) document.setIn(step, document.createNode({}));
  }
}

function setRoutes(document: Document, routes: readonly RouteConfig[]): void {
  openWay(document, ["routes"]);
  const present = document.get("routes", true);
  const list: YAMLSeq = isSeq(present) ? present : document.createNode([]);
  // The library counts a comment above the first rule as the list's.
  const first = list.items[0];
  const comment = list.commentBefore;
  if (isMap(first) && comment) {
    first.commentBefore = comment;
    list.commentBefore = null;
  }
  const reusable = Map.groupBy(list.items.filter(isMap), (item) => String(item.get("match")));
  list.items = routes.map(({ match, to }) => {
    const rule = reusable.get(match)?.shift();
    if (rule === undefined) {
      const created = document.createNode({ match, to });
      created.flow = true;
      return created;
    }
    if (rule.get("to") !== to) rule.set("to", to);
    return rule;
  });
  if (comment && !list.items.includes(first)) list.commentBefore = comment;
  // An empty list written as [] could not hold rules on lines of their own.
  if (routes.length > 0) list.flow = false;
  if (list !== present) document.set("routes", list);
}
