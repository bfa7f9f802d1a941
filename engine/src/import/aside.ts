import { Worker } from "node:worker_threads";
import type { Config } from "../config/config.ts";
import type { ImportPreview, ImportSource } from "./import.ts";

/** The longest that a text of honest hosts was seen to take is a tenth of it. */
const DEADLINE_MS = 5_000;
const MAX_HEAP_MEGABYTES = 512;

export interface AsideOptions {
  /** Milliseconds. Default: 5,000. */
  readonly deadlineMs?: number;
}

/**
 * previewSource in a thread of its own, for an engine at work. A text to import is anybody's: with patterns that are made for it, sixty
 * characters of an ssh_config keep a thread busy for years, and traffic must not be in that thread.
 */
export async function previewAside(
  source: ImportSource,
  config: Config,
  { deadlineMs = DEADLINE_MS }: AsideOptions = {},
): Promise<ImportPreview> {
  const worker = new Worker(new URL("./preview-worker.ts", import.meta.url), {
    // Routes play no part, and there may be 100,000.
    workerData: { source, config: { ...config, routes: [] } },
    resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MEGABYTES },
  });
  const from = "path" in source ? source.path : "the text";
  const refusal = (why: string): ImportPreview => ({ upstreams: [], skipped: [{ from, why }] });
  const result = Promise.withResolvers<ImportPreview>();
  const timer = setTimeout(
    () => result.resolve(refusal(`it could not be read within ${deadlineMs / 1000} s`)),
    deadlineMs,
  );
  worker.on("message", (preview: ImportPreview) => result.resolve(preview));
  worker.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "ERR_WORKER_OUT_OF_MEMORY") result.resolve(refusal("it needs too much memory"));
    else result.reject(error);
  });
  worker.on("exit", () => result.reject(new Error("the thread that reads an import ended early")));
  try {
    return await result.promise;
  } finally {
    clearTimeout(timer);
    await worker.terminate();
  }
}
