import { formatPath } from "@sockeye/config-kit/problem";
import { readSource } from "@sockeye/config-kit/source";
import { z } from "zod";
import { namePatterns, portRanges, rate, text, whole } from "../config/values.ts";

/**
 * The tokens file, YAML. A token's line holds its hash, never the token:
 *
 *     tokens:
 *       - { id: a1b2c3d4e5f6, identity: ada, sha256: 9f86…, names: ["demo-*"], ports: 2000-2100 }
 */

/** Who a token is for: said in logs, and what owns names. */
const identity = text("a name of up to 64 letters, digits and . _ @ -", (name) =>
  /^[\w.@-]{1,64}$/.test(name),
);

const entry = z.strictObject({
  id: text("12 letters and digits", (id) => /^[a-z0-9]{12}$/.test(id)),
  identity,
  sha256: text("64 hexadecimal digits", (hash) => /^[0-9a-f]{64}$/.test(hash)),
  names: namePatterns.default([]),
  ports: portRanges.default([]),
  /** A date or a point in time; YAML has no type of its own for it. */
  expires: text(
    "a date such as 2030-01-31 or 2030-01-31T12:00:00Z",
    (date) => !Number.isNaN(Date.parse(date)),
  ).optional(),
  max_names: whole(0, 10_000).optional(),
  max_ports: whole(0, 10_000).optional(),
  max_tunnels: whole(1, 1_000_000).optional(),
  requests_per_second: rate.optional(),
});

const tokensSchema = z.strictObject({
  /** `tokens:` with every line taken out revokes them all. */
  tokens: z
    .array(entry)
    .nullish()
    .transform((tokens) => tokens ?? []),
});

export type TokenEntry = z.output<typeof entry>;

/** A tokens file is wrong; a sentence for each fault, with its place. */
export class TokensFileError extends Error {
  override readonly name = "TokensFileError";
  readonly faults: readonly string[];
  constructor(file: string, faults: readonly string[]) {
    super(`${file}: ${faults.join("; ")}`);
    this.faults = faults;
  }
}

/** So many faults are told. */
const MAX_FAULTS = 20;

/** @throws {TokensFileError} with all that is wrong. */
export function parseTokensFile(file: string, content: string): TokenEntry[] {
  const source = readSource(content, {});
  const faults = source.problems.map(({ line, column, message }) => `${line}:${column}: ${message}`);
  const parsed = tokensSchema.safeParse(source.value ?? {});
  if (source.readable && !parsed.success) {
    for (const issue of parsed.error.issues) {
      const path = issue.path.filter((part) => typeof part !== "symbol");
      const { line, column } = source.problemAt(path, "");
      const wanted =
        issue.code === "unrecognized_keys"
          ? `has the unknown key ${issue.keys.join(", ")}`
          : `must be ${issue.code === "custom" ? issue.message : path.length === 1 ? "a list of tokens" : "a mapping such as { id: …, identity: …, sha256: … }"}`;
      faults.push(`${line}:${column}: ${formatPath(path) || "the file"} ${wanted}`);
    }
  }
  const entries = parsed.success ? parsed.data.tokens : [];
  const ids = entries.map(({ id }) => id);
  for (const [i, id] of ids.entries()) {
    if (ids.indexOf(id) === i) continue;
    const { line, column } = source.problemAt(["tokens", i, "id"], "");
    faults.push(`${line}:${column}: the id ${id} is given twice`);
  }
  if (faults.length > 0) throw new TokensFileError(file, faults.slice(0, MAX_FAULTS));
  return entries;
}

/** The entry of one token as a line of the file, below `tokens:`. */
export function formatTokenEntry(given: {
  readonly id: string;
  readonly identity: string;
  readonly sha256: string;
  readonly names: readonly string[];
  readonly ports: readonly { readonly low: number; readonly high: number }[];
  readonly expires?: string | undefined;
}): string {
  const { id, names, ports, expires } = given;
  const quoted = (all: readonly string[]) => `[${all.map((text) => JSON.stringify(text)).join(", ")}]`;
  const ranges = ports.map(({ low, high }) => (low === high ? String(low) : `${low}-${high}`));
  const parts = [
    `id: ${JSON.stringify(id)}`,
    `identity: ${JSON.stringify(given.identity)}`,
    `sha256: ${JSON.stringify(given.sha256)}`,
    `names: ${quoted(names)}`,
    `ports: ${quoted(ranges)}`,
    ...(expires === undefined ? [] : [`expires: ${JSON.stringify(expires)}`]),
  ];
  return `  - { ${parts.join(", ")} }`;
}
