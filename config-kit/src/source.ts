import {
  type Alias,
  type Document,
  type Node,
  type Pair,
  type YAMLError,
  LineCounter,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  parseDocument,
} from "yaml";
import { expandEnvironment } from "./environment.ts";
import type { Expansion } from "./expansions.ts";
import { type ConfigProblem, type Path, formatPath } from "./problem.ts";
import { findUnclosed } from "./unclosed.ts";

/** A configuration file holds at most this many bytes: some 150,000 routes. */
export const MAX_FILE_BYTES = 8 * 1024 * 1024;
/** Values that aliases repeat: a text of a few kilobytes could ask for millions, and each is checked. */
const MAX_REPEATED = 20_000;
/** Aliases followed, so that a few lines that repeat each other can't fill the memory. */
const MAX_ALIASES = 1000;
const MAX_DEPTH = 64;

/** A file's plain value, and the way back from a path in it to its place in the text. */
export interface Source {
  /** Mappings have no prototype, so that no key means anything of itself. */
  readonly value: unknown;
  readonly problems: readonly ConfigProblem[];
  /** Paths (formatPath) of values that could not be read, of which nothing more is to be said. */
  readonly unknown: ReadonlySet<string>;
  /** By path (formatPath), the values that hold something of the environment's. */
  readonly expansions: ReadonlyMap<string, Expansion>;
  /** False when the text is not YAML, so that nothing can be said of what it means. */
  readonly readable: boolean;
  /** A problem at `path`, or at the nearest place above it that the text has. */
  problemAt(path: Path, message: string, options?: { part?: "key" | "value"; hint?: string }): ConfigProblem;
}

/**
 * Reads YAML 1.2, expands `${ENV}` in every text, and keeps the places. Never throws: what is wrong is in `problems`.
 */
export function readSource(text: string, environment: Readonly<Record<string, string | undefined>>): Source {
  if (text.length > MAX_FILE_BYTES || Buffer.byteLength(text) > MAX_FILE_BYTES) {
    const megabytes = MAX_FILE_BYTES / 1024 / 1024;
    return unreadable(`the file is larger than ${megabytes} MiB, the most that is read`);
  }
  const lines = new LineCounter();
  let document: Document.Parsed;
  try {
    // Duplicate keys are found below: the library compares each key with each.
    document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: false });
  } catch (error) {
    if (error instanceof RangeError) return unreadable("the file is nested too deeply to be read");
    throw error;
  }
  const reader = new Reader(text, document, { lines, environment });
  const value = reader.read();
  return {
    value,
    problems: reader.problems,
    unknown: reader.unknown,
    expansions: reader.expansions,
    readable: !document.errors.some((error) => error.code !== "BAD_ALIAS"),
    problemAt: (path, message, { part = "value", hint } = {}) =>
      reader.problem(reader.offsetOf(path, part), path, message, hint),
  };
}

function unreadable(message: string): Source {
  const problem = { line: 1, column: 1, path: "", message };
  return {
    value: undefined,
    problems: [problem],
    unknown: new Set(),
    expansions: new Map(),
    readable: false,
    problemAt: () => problem,
  };
}

interface ReaderContext {
  readonly lines: LineCounter;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

class Reader {
  readonly problems: ConfigProblem[] = [];
  readonly unknown = new Set<string>();
  readonly expansions = new Map<string, Expansion>();
  readonly #text: string;
  readonly #document: Document.Parsed;
  readonly #context: ReaderContext;
  #values = 0;
  #aliases = 0;
  #tooLarge = false;

  constructor(text: string, document: Document.Parsed, context: ReaderContext) {
    this.#text = text;
    this.#document = document;
    this.#context = context;
  }

  read(): unknown {
    const { errors, warnings } = this.#document;
    // What follows an unexpected token is read out of step: one slip would become a page of errors.
    const slip = errors.findIndex((error) => error.code === "UNEXPECTED_TOKEN");
    for (const error of [...errors.slice(0, slip === -1 ? undefined : slip + 1), ...warnings]) {
      const [offset] = error.pos;
      if (error.code === "BAD_ALIAS") continue;
      const isVariable = this.#text.slice(offset - 1, offset + 1) === "${";
      const unclosed = isVariable ? undefined : findUnclosed(this.#text, error);
      if (isVariable) this.#add(offset - 1, [], 'inside [ ] and { } a variable stands in quotes: "${NAME}"');
      else if (unclosed === undefined) this.#add(offset, [], syntaxSentence(error));
      else {
        const { line, col } = this.#context.lines.linePos(unclosed.offset);
        this.#add(unclosed.offset, [], unclosed.sentence(`${line}:${col}`));
        // It has swallowed what follows.
        break;
      }
    }
    return this.#plain(this.#document.contents, [], 0);
  }

  problem(offset: number, path: Path, message: string, hint?: string): ConfigProblem {
    const { line, col } = this.#context.lines.linePos(offset);
    const place = { line: Math.max(1, line), column: Math.max(1, col), path: formatPath(path), message };
    return hint === undefined ? place : { ...place, hint };
  }

  #add(offset: number, path: Path, message: string, hint?: string): void {
    this.problems.push(this.problem(offset, path, message, hint));
  }

  /** @param depth of nesting, aliases included: an alias within its own anchor ends here. */
  #plain(node: Node | null, path: Path, depth: number): unknown {
    if (node === null || this.#tooLarge) return null;
    const offset = node.range?.[0] ?? 0;
    // Without aliases, a value is at least a character.
    if (depth > MAX_DEPTH || ++this.#values > this.#text.length + MAX_REPEATED) {
      this.#tooLarge = true;
      this.#add(offset, path, "the file is nested too deeply, or repeats itself too often through aliases");
      return null;
    }
    if (isScalar(node)) {
      return typeof node.value === "string" ? this.#expand(node.value, offset, path) : node.value;
    }
    if (isAlias(node)) return this.#followAlias(node, path, depth);
    if (isSeq<Node | null>(node)) {
      return node.items.map((item, index) => this.#plain(item, [...path, index], depth + 1));
    }
    if (isMap<Node | null, Node | null>(node)) return this.#plainMap(node.items, path, depth);
    return null;
  }

  #plainMap(pairs: readonly Pair<Node | null, Node | null>[], path: Path, depth: number): unknown {
    const result = Object.create(null) as Record<string, unknown>;
    const lineOfKey = new Map<string, number>();
    for (const pair of pairs) {
      const key = keyText(pair);
      const offset = pair.key?.range?.[0] ?? pair.value?.range?.[0] ?? 0;
      if (key === undefined) {
        this.#add(offset, path, "a key is one word followed by a colon, such as listen:");
        continue;
      }
      const first = lineOfKey.get(key);
      if (first !== undefined) {
        this.#add(offset, [...path, key], `${key} is given twice; the first is on line ${first}`);
        continue;
      }
      lineOfKey.set(key, this.#context.lines.linePos(offset).line);
      result[key] = this.#plain(pair.value, [...path, key], depth + 1);
    }
    return result;
  }

  #followAlias(alias: Alias, path: Path, depth: number): unknown {
    const offset = alias.range?.[0] ?? 0;
    const target = alias.source === "" ? undefined : this.#resolve(alias);
    if (target === undefined) {
      // The text that was probably meant, so that the rest of the file is checked with it.
      const written = this.#text.slice(offset, alias.range?.[1] ?? offset);
      const example = path.at(-1) === "match" ? `: "${written}"` : ', such as "*.example.com"';
      this.#add(offset, path, `a text that begins with * stands in quotes${example}`);
      return written;
    }
    if (++this.#aliases > MAX_ALIASES) {
      this.#tooLarge = true;
      this.#add(offset, path, `the file follows more than ${MAX_ALIASES} aliases`);
      return null;
    }
    return this.#plain(target, path, depth + 1);
  }

  #anchors: Map<string, Node[]> | undefined;

  /** The last anchor of that name before the alias. The library's own look-up walks the whole document for each alias. */
  #resolve(alias: Alias): Node | undefined {
    this.#anchors ??= anchorsOf(this.#document.contents);
    const offset = alias.range?.[0] ?? 0;
    return this.#anchors.get(alias.source)?.findLast((node) => (node.range?.[0] ?? 0) < offset);
  }

  #expand(text: string, offset: number, path: Path): string {
    const expanded = expandEnvironment(text, this.#context.environment);
    for (const { written, message } of expanded.faults) {
      const exact = this.#text.indexOf(written, offset);
      this.#add(exact === -1 ? offset : exact, path, message);
      this.unknown.add(formatPath(path));
    }
    const { values } = expanded;
    if (values.size > 0)
      this.expansions.set(formatPath(path), { written: text, text: expanded.text, values });
    return expanded.text;
  }

  /** Where the value (or the key) at `path` begins; where the text ends early, the last key that it has. */
  offsetOf(path: Path, part: "key" | "value"): number {
    let node: Node | null | undefined = this.#document.contents;
    let offset = node?.range?.[0] ?? 0;
    for (const [depth, step] of path.entries()) {
      if (node && isAlias(node)) node = this.#resolve(node);
      if (isSeq<Node | null>(node)) {
        node = typeof step === "number" ? node.items[step] : undefined;
        if (!node) return offset;
        offset = node.range?.[0] ?? offset;
      } else if (isMap<Node | null, Node | null>(node)) {
        const pair: Pair<Node | null, Node | null> | undefined = node.items.find(
          (item) => keyText(item) === String(step),
        );
        if (!pair) return offset;
        offset = pair.key?.range?.[0] ?? offset;
        if (depth === path.length - 1 && part === "key") return offset;
        node = pair.value;
        // A missing key is told of at its parent's key, a wrong value at the value.
        if (depth === path.length - 1 && node && !isEmpty(node)) offset = node.range?.[0] ?? offset;
      } else return offset;
    }
    return offset;
  }
}

/** Anchored nodes by name, in the order of the text. */
function anchorsOf(root: Node | null): Map<string, Node[]> {
  const anchors = new Map<string, Node[]>();
  const waiting: (Node | null)[] = [root];
  for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
    if (node === null || isAlias(node)) continue;
    if ((isScalar(node) || isSeq(node) || isMap(node)) && node.anchor) {
      anchors.set(node.anchor, [...(anchors.get(node.anchor) ?? []), node]);
    }
    if (isSeq<Node | null>(node)) for (const item of node.items.toReversed()) waiting.push(item);
    if (isMap<Node | null, Node | null>(node)) {
      for (const { value } of node.items.toReversed()) waiting.push(value);
    }
  }
  return anchors;
}

function isEmpty(node: Node): boolean {
  return isScalar(node) && node.value === null && node.source === "";
}

function keyText(pair: Pair<Node | null, Node | null>): string | undefined {
  const { key } = pair;
  if (!isScalar(key) || key.value === null || key.value === undefined) return undefined;
  return typeof key.value === "string" ? key.value : key.source;
}

/** The library's codes in our words. Its own sentences can quote the text around the fault, which may be a secret. */
function syntaxSentence(error: YAMLError): string {
  switch (error.code) {
    case "BAD_INDENT":
      return "this line's indentation fits none of the lines above; keys of one mapping begin in one column";
    case "TAB_AS_INDENT":
      return "a tab can't indent; use spaces";
    case "MISSING_CHAR":
      return "something is missing here: a colon after a key, a comma, or a closing quote or bracket";
    case "UNEXPECTED_TOKEN":
      return "this text does not belong here; a value that begins with [ or { and goes on after ] or } stands in quotes";
    case "BAD_SCALAR_START":
      return "a text that begins with @, %, ` or | stands in quotes";
    case "BLOCK_AS_IMPLICIT_KEY":
      return 'a value that holds ": " stands in quotes; a mapping begins on a line of its own';
    case "MULTILINE_IMPLICIT_KEY":
      return "a key stands on one line with its colon; perhaps a colon is missing after this line";
    case "KEY_OVER_1024_CHARS":
      return "a key has at most 1024 characters; perhaps a colon or a quote is missing";
    case "BAD_DQ_ESCAPE":
      return "this is not an escape of double quotes; write \\\\ for a backslash, or use single quotes";
    case "MULTIPLE_DOCS":
      return "the file holds one document; remove this ---";
    case "TAG_RESOLVE_FAILED":
    case "MULTIPLE_TAGS":
      return "a text that begins with ! stands in quotes; tags have no use here";
    case "BAD_ALIAS":
    case "ALIAS_PROPS":
    case "MULTIPLE_ANCHORS":
      return "a text that begins with * or & stands in quotes";
    case "BAD_DIRECTIVE":
      return "a line that begins with % stands in quotes or is removed; directives have no use here";
    case "BLOCK_IN_FLOW":
      return "inside [ ] and { } values are separated by commas, not by lines";
    case "DUPLICATE_KEY":
    case "BAD_COLLECTION_TYPE":
    case "BAD_PROP_ORDER":
    case "NON_STRING_KEY":
    case "IMPOSSIBLE":
    case "RESOURCE_EXHAUSTION":
      return "this is not YAML that can be read";
  }
}
