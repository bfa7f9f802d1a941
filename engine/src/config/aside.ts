import { Worker } from "node:worker_threads";
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
  const worker = new Worker(new URL("./parse-worker.ts", import.meta.url), {
    // Copied first: the environment of a process is no plain object, and can't be handed over.
    workerData: { text, options: { ...options, env: { ...options.env } } },
    resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MEGABYTES },
  });
  const result = Promise.withResolvers<ParseResult>();
  const timer = setTimeout(
    () => result.resolve(refusal(`the file could not be read within ${DEADLINE_MS / 1000} s`)),
    DEADLINE_MS,
  );
  worker.on("message", (parsed: ParseResult) => result.resolve(withPlainLookups(parsed)));
  worker.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "ERR_WORKER_OUT_OF_MEMORY") result.resolve(refusal("the file needs too much memory"));
    else result.reject(error);
  });
  worker.on("exit", () => result.reject(new Error("the thread that reads the configuration ended early")));
  try {
    return await result.promise;
  } finally {
    clearTimeout(timer);
    await worker.terminate();
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

function refusal(message: string): ParseResult {
  return { errors: [{ line: 1, column: 1, path: "", message }], warnings: [], files: [] };
}
