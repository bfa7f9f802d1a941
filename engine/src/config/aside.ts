import { aside, AsideError } from "../aside.ts";
import { type ParseOptions, type ParseResult, parseConfig } from "./load.ts";
import { readConfigText } from "@sockeye/config-kit/read-text";

/** Smaller texts are read within some tens of milliseconds; a thread takes as long to start. */
const ASIDE_FROM_CHARACTERS = 128 * 1024;
const DEADLINE_MS = 60_000;
/** Enough for MAX_FILE_BYTES: the YAML library takes some 200 bytes for each of the text's. */
const MAX_HEAP_MEGABYTES = 3072;

/**
 * parseConfig, for an engine at work: a long text is read in a thread of its own, so that traffic does not wait the seconds
 * that 100,000 rules take, and the memory goes with the thread.
 */
export async function parseConfigAside(text: string, options: ParseOptions): Promise<ParseResult> {
  if (text.length < ASIDE_FROM_CHARACTERS) return parseConfig(text, options);
  // Copied first: the environment of a process is no plain object, and can't be handed over.
  const data = { text, options: { ...options, env: { ...options.env } } };
  try {
    const parsed = await aside<ParseResult>(new URL("./parse-worker.ts", import.meta.url), data, {
      what: "reading the file",
      deadlineMs: DEADLINE_MS,
      maxHeapMegabytes: MAX_HEAP_MEGABYTES,
    });
    return withPlainLookups(parsed);
  } catch (error) {
    if (!(error instanceof AsideError)) throw error;
    return { errors: [{ line: 1, column: 1, path: "", message: error.message }], warnings: [], files: [] };
  }
}

/**
 * Reads and checks the file at `path`, beside what runs.
 * @throws the system's error where the file can't be read.
 */
export async function loadConfig(
  path: string,
  options: Omit<ParseOptions, "fileName">,
): Promise<ParseResult & { readonly text: string }> {
  const text = await readConfigText(path);
  return { text, ...(await parseConfigAside(text, { ...options, fileName: path })) };
}

/** A message between threads gives objects their prototype back; what is looked up by name goes without (build.ts). */
function withPlainLookups(result: ParseResult): ParseResult {
  if ("errors" in result) return result;
  const { upstreams, relays, shares } = result.config;
  const plain = { upstreams: byName(upstreams), relays: byName(relays), shares: byName(shares) };
  return { ...result, config: { ...result.config, ...plain } };
}

function byName<T extends object>(entries: T): T {
  return Object.assign(Object.create(null), entries) as T;
}
