import { parseDocument } from "yaml";
import { excerpt, type Finds, type Found, type Skipped } from "./found.ts";

/** Aliases followed, so that a few lines that repeat each other can't fill the memory. */
const MAX_ALIASES = 100;

/** The upstreams of a configuration of ours, as they stand there. */
export function readConfiguration(text: string): Finds {
  const failed = (why: string): Finds => ({ found: [], skipped: [{ from: "the text", why }] });
  const unknown =
    "it is neither URLs, nor an ssh command, nor an ssh_config, nor a configuration of Sockeye's";
  let value: unknown;
  try {
    const document = parseDocument(text, { prettyErrors: false, uniqueKeys: false, logLevel: "silent" });
    if (document.errors.length > 0) return failed(unknown);
    value = document.toJS({ maxAliasCount: MAX_ALIASES });
  } catch {
    // Nested too deeply, or aliases that multiply.
    return failed("it is too deep, or repeats itself too often, to be read");
  }
  if (!isMapping(value)) return failed(unknown);
  const { upstreams } = value;
  if (!isMapping(upstreams)) return failed("it is a mapping without upstreams");
  const found: Found[] = [];
  const skipped: Skipped[] = [];
  for (const [name, entry] of Object.entries(upstreams)) {
    const from = `upstream ${excerpt(name)}`;
    if (!isMapping(entry)) {
      skipped.push({ from, why: "it is not a mapping" });
      continue;
    }
    const { via, ...upstream } = entry;
    found.push({
      id: name,
      name,
      upstream,
      via: typeof via === "string" ? via : undefined,
      from,
      warnings: [],
    });
  }
  return { found, skipped };
}

function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
