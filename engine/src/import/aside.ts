import { aside, AsideError } from "../aside.ts";
import type { Config } from "../config/config.ts";
import type { ImportPreview, ImportSource } from "./import.ts";

/** The longest that a text of honest hosts was seen to take is a tenth of it. */
const DEADLINE_MS = 5_000;
const MAX_HEAP_MEGABYTES = 512;

/**
 * previewSource in a thread of its own, for an engine at work. A text to import is anybody's: with patterns that are made for it, sixty
 * characters of an ssh_config keep a thread busy for years, and traffic must not be in that thread.
 */
export async function previewAside(
  source: ImportSource,
  config: Config,
  deadlineMs = DEADLINE_MS,
): Promise<ImportPreview> {
  // Routes play no part, and there may be 100,000.
  const data = { source, config: { ...config, routes: [] } };
  try {
    return await aside<ImportPreview>(new URL("./preview-worker.ts", import.meta.url), data, {
      what: "reading it",
      deadlineMs,
      maxHeapMegabytes: MAX_HEAP_MEGABYTES,
    });
  } catch (error) {
    if (!(error instanceof AsideError)) throw error;
    const from = "path" in source ? source.path : "the text";
    return { upstreams: [], skipped: [{ from, why: error.message }] };
  }
}
