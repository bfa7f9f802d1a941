import { Worker } from "node:worker_threads";

export interface AsideOptions {
  /** What is done, for sentences: "reading the file". */
  readonly what: string;
  readonly deadlineMs: number;
  /** Default: as much as V8 gives a thread. */
  readonly maxHeapMegabytes?: number;
}

/** The thread took longer, or more memory, than it may. */
export class AsideError extends Error {}

/**
 * Work in a thread of its own, so that traffic does not wait for it, and the memory goes with the thread.
 * @param file the thread's program, which posts one message: the result. Its name ends in `-worker.ts`: bundles know it by that.
 * @param data what the program finds in `workerData`, copied.
 * @throws {AsideError} with a sentence; what the program throws.
 */
export async function aside<Result>(file: URL, data: unknown, options: AsideOptions): Promise<Result> {
  const { what, deadlineMs, maxHeapMegabytes } = options;
  const worker = new Worker(file, {
    workerData: data,
    ...(maxHeapMegabytes !== undefined && { resourceLimits: { maxOldGenerationSizeMb: maxHeapMegabytes } }),
  });
  const result = Promise.withResolvers<Result>();
  const timer = setTimeout(
    () => result.reject(new AsideError(`${what} took longer than ${deadlineMs / 1000} s`)),
    deadlineMs,
  );
  worker.on("message", result.resolve);
  worker.on("error", (error: NodeJS.ErrnoException) => {
    const tooMuch = error.code === "ERR_WORKER_OUT_OF_MEMORY";
    result.reject(tooMuch ? new AsideError(`${what} needs too much memory`, { cause: error }) : error);
  });
  worker.on("exit", () => result.reject(new Error(`the thread ended early: ${what}`)));
  try {
    return await result.promise;
  } finally {
    clearTimeout(timer);
    await worker.terminate();
  }
}
