import { dirname } from "node:path";
import type { z } from "zod";
import { type Places, buildConfig } from "./build.ts";
import type { Config } from "./config.ts";
import { type NamedFile, namedFiles } from "./files.ts";
import type { GivenListeners } from "./listeners.ts";
import { withoutValues } from "@sockeye/config-kit/expansions";
import { type ConfigProblem, type Finding, MAX_PROBLEMS, formatPath } from "@sockeye/config-kit/problem";
import { checkReferences } from "./references.ts";
import { fileSchema } from "./schema.ts";
import { describeIssue } from "./sentences.ts";
import { type Source, readSource } from "@sockeye/config-kit/source";

export type { ConfigProblem } from "@sockeye/config-kit/problem";
export { MAX_FILE_BYTES } from "@sockeye/config-kit/source";

export interface ParseOptions {
  /** For `${NAME}`. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** For `~`. */
  readonly home: string;
  /** The file's path: relative paths in it begin at its directory. */
  readonly fileName?: string;
  /** Addresses of listeners from elsewhere, which take the place of the file's. The configuration returned is the file's. */
  readonly listen?: GivenListeners;
}

export type ParseResult = ParsedFile &
  ({ readonly config: Config } | { readonly errors: readonly ConfigProblem[] });

interface ParsedFile {
  readonly warnings: readonly ConfigProblem[];
  /** What the configuration names and the engine will read; whether it is there is for warnOfFiles() to say. */
  readonly files: readonly NamedFile[];
}

/**
 * Checks a configuration and finds every error in it at once, in the order of the file. Never throws for what the text holds.
 * Warnings are told whether or not there are errors.
 */
export function parseConfig(text: string, options: ParseOptions): ParseResult {
  const source = readSource(text.startsWith("\uFEFF") ? text.slice(1) : text, options.env);
  if (!source.readable) return { errors: inOrder(source.problems), warnings: [], files: [] };
  const root = withoutEmptyBlocks(source.value);
  const parsed = fileSchema.safeParse(root);
  const references = checkReferences(root, options.listen ?? {});
  const issues = parsed.success ? [] : describeIssues(parsed.error.issues, root);
  const findings = [...issues, ...references.errors].slice(0, MAX_PROBLEMS);
  const errors = inOrder([...source.problems, ...locate(findings, source)]);
  const warnings = inOrder(locate(references.warnings.slice(0, MAX_PROBLEMS), source));
  const directory = options.fileName === undefined ? undefined : dirname(options.fileName);
  const places: Places = { home: options.home, directory };
  const files = namedFiles(root, places, source);
  if (errors.length > 0 || !parsed.success) {
    return { errors: errors.slice(0, MAX_PROBLEMS), warnings, files };
  }
  return { config: buildConfig(parsed.data, places), warnings, files };
}

/** `routes:` with every rule commented out is a key with an empty value, and means the same as no key. */
function withoutEmptyBlocks(root: unknown): unknown {
  if (root === null || root === undefined) return {};
  if (typeof root !== "object" || Array.isArray(root)) return root;
  const blocks = Object.entries(root).filter(([, block]) => block !== null);
  return Object.assign(Object.create(null), Object.fromEntries(blocks)) as unknown;
}

function describeIssues(issues: readonly z.core.$ZodIssue[], root: unknown): Finding[] {
  return issues.slice(0, MAX_PROBLEMS).flatMap((issue) => describeIssue(issue, root));
}

function locate(findings: readonly Finding[], source: Source): ConfigProblem[] {
  const known = findings.filter(
    ({ path }) => source.unknown.size === 0 || !source.unknown.has(formatPath(path)),
  );
  return known.map(({ path, part, message, beside, quotes = [] }) => {
    const safe = withoutValues(message, [path, ...quotes], source.expansions);
    return beside === true
      ? { line: 0, column: 0, path: formatPath(path), message: safe }
      : source.problemAt(path, safe, { part });
  });
}

function inOrder(problems: readonly ConfigProblem[]): ConfigProblem[] {
  return problems.toSorted((a, b) => a.line - b.line || a.column - b.column);
}
