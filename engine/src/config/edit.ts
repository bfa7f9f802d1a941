import {
  type Document,
  type Node,
  type Pair,
  type YAMLMap,
  type YAMLSeq,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  parseDocument,
} from "yaml";
import type { ControlEdit, EditValue } from "../control/contract.ts";
import type { RouteConfig } from "./config.ts";
import { isSecretOfFile } from "./schema-values.ts";
import { isClearText } from "./write.ts";

/** Keys of the file. A key that is null is taken out; one that is not named stays as it is. */
export type EditMapping = Readonly<Record<string, EditValue>>;

/** One change to the text of a configuration. Texts are written as they are: `${NAME}` in them is a variable. */
export type ConfigEdit = ControlEdit;

/**
 * Applies edits in order, and keeps comments and what the edits do not name. The result may not be a right configuration:
 * writeConfig checks it.
 * @throws {SyntaxError} when the text is not YAML, an edit would write a secret in clear, or it names an upstream that is not
 * there; with a sentence.
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
  const written = writtenOut(document);
  return text.includes("\r\n") ? written.replaceAll("\n", "\r\n") : written;
}

/** The library finds out only here that what an alias stands for has gone, or comes after it now. */
function writtenOut(document: Document): string {
  try {
    return document.toString({ lineWidth: 0 });
  } catch (error) {
    const sentence = "an alias (*name) would stand before what it is short for (&name), or without it";
    throw new SyntaxError(sentence, { cause: error });
  }
}

function apply(document: Document, edit: ConfigEdit): void {
  switch (edit.kind) {
    case "set-upstream":
      merge(document, ["upstreams", edit.name], edit.upstream);
      return;
    case "delete-upstream":
      remove(document, ["upstreams", edit.name]);
      return;
    case "rename-upstream":
      renameUpstream(document, edit.name, edit.to);
      return;
    case "order-upstreams":
      orderUpstreams(document, edit.names);
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
    case "set-relay":
      merge(document, ["relays", edit.name], edit.relay);
      return;
    case "rename-relay":
      renameRelay(document, edit.name, edit.to);
      return;
    case "delete-relay":
      remove(document, ["relays", edit.name]);
      return;
    case "set-share":
      merge(document, ["shares", edit.name], edit.share);
      return;
    case "rename-share":
      renameIn(document, "shares", edit);
      return;
    case "delete-share":
      remove(document, ["shares", edit.name]);
      return;
    case "set-section":
      merge(document, [edit.section], edit.values);
      return;
  }
}

function merge(document: Document, path: readonly string[], value: EditValue): void {
  if (value === null) {
    remove(document, path);
    return;
  }
  const key = path.at(-1);
  const isSecret = key !== undefined && isSecretOfFile(key);
  if (isSecret && typeof value !== "object" && isClearText(String(value))) {
    throw new SyntaxError(`${key} would stand in clear in the file; use ${key}_file, a keychain or \${NAME}`);
  }
  openWay(document, path);
  const present = document.getIn(path, true);
  if (isMapping(value)) {
    if (!isMap(present)) document.setIn(path, document.createNode({}));
    for (const [inner, next] of Object.entries(value)) merge(document, [...path, inner], next);
  } else if (isScalar(present) && typeof value !== "object") {
    present.value = value;
  } else if (isSeq(present) && Array.isArray(value)) {
    setList(document, present, value);
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

/** Items that were there keep their comments. */
function setList(document: Document, list: YAMLSeq, values: readonly unknown[]): void {
  const reusable = Map.groupBy(list.items.filter(isScalar), (item) => item.value);
  list.items = values.map((value) => reusable.get(value)?.shift() ?? document.createNode(value));
}

/** Blocks of entries with names, and what one of them is called with its article. */
const entryOf = { upstreams: "an upstream", shares: "a share", relays: "a relay" } as const;
type Block = keyof typeof entryOf;

function blockOf(document: Document, block: Block): YAMLMap {
  openWay(document, [block, ""]);
  // openWay has made it one.
  return document.get(block, true) as YAMLMap;
}

function nameOf(pair: Pair): string {
  return String(isScalar(pair.key) ? pair.key.value : pair.key);
}

function renameIn(
  document: Document,
  block: Block,
  { name, to }: { readonly name: string; readonly to: string },
): void {
  const entries = blockOf(document, block);
  const pair = entries.items.find((item) => nameOf(item) === name);
  if (!pair) throw new SyntaxError(`no ${entryOf[block].replace(/^an? /, "")} is called "${name}"`);
  if (name === to) return;
  if (entries.items.some((item) => nameOf(item) === to)) {
    throw new SyntaxError(`${entryOf[block]} is called "${to}" already`);
  }
  if (isScalar(pair.key)) pair.key.value = to;
  else pair.key = document.createNode(to);
}

function renameUpstream(document: Document, name: string, to: string): void {
  renameIn(document, "upstreams", { name, to });
  const upstreams = blockOf(document, "upstreams");
  const refersTo = (node: unknown) => isScalar(node) && node.value === name;
  for (const { value } of upstreams.items) {
    if (isMap(value) && refersTo(value.get("via", true))) value.set("via", to);
  }
  const routes = document.get("routes", true);
  for (const rule of isSeq(routes) ? routes.items : []) {
    if (isMap(rule) && refersTo(rule.get("to", true))) rule.set("to", to);
  }
  if (refersTo(document.get("default", true))) document.set("default", to);
}

function renameRelay(document: Document, name: string, to: string): void {
  renameIn(document, "relays", { name, to });
  if (!document.has("shares")) return;
  for (const { value } of blockOf(document, "shares").items) {
    if (isMap(value) && value.get("relay") === name) value.set("relay", to);
  }
}

function orderUpstreams(document: Document, names: readonly string[]): void {
  const upstreams = blockOf(document, "upstreams");
  const present = new Map(upstreams.items.map((pair) => [nameOf(pair), pair]));
  if (
    names.length !== present.size ||
    !names.every((name) => present.has(name)) ||
    new Set(names).size !== names.length
  ) {
    throw new SyntaxError("the order must name every upstream once; read the configuration again first");
  }
  // The library counts a comment above the first upstream as the mapping's.
  const key = upstreams.items[0]?.key as Node | undefined;
  if (isScalar(key) && upstreams.commentBefore) {
    key.commentBefore = upstreams.commentBefore;
    upstreams.commentBefore = null;
  }
  upstreams.items = names.map((name) => present.get(name)!);
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
