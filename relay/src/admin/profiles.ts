import { Session } from "node:inspector/promises";

export type ProfileKind = "cpu" | "heap";

/** Bytes between two samples of allocations. */
const HEAP_SAMPLING_BYTES = 32 * 1024;
const CPU_SAMPLING_US = 1_000;

/** A profile is being taken already: two at once would measure each other. */
export class ProfileRunningError extends Error {
  override readonly name = "ProfileRunningError";
}

let isRunning = false;

/**
 * A profile of this process over a stretch of time, in the form that browsers' tools open (`.cpuprofile`, `.heapprofile`).
 * The heap's is a sample of where memory was allocated that is still in use; it holds no contents.
 * @param seconds ends earlier when the signal fires, with what there is.
 * @throws {ProfileRunningError}
 */
export async function takeProfile(kind: ProfileKind, seconds: number, signal: AbortSignal): Promise<object> {
  if (isRunning) throw new ProfileRunningError("a profile is being taken already");
  isRunning = true;
  const session = new Session();
  try {
    session.connect();
    if (kind === "heap") {
      await session.post("HeapProfiler.startSampling", { samplingInterval: HEAP_SAMPLING_BYTES });
      await pause(seconds, signal);
      return (await session.post("HeapProfiler.stopSampling")).profile;
    }
    await session.post("Profiler.enable");
    await session.post("Profiler.setSamplingInterval", { interval: CPU_SAMPLING_US });
    await session.post("Profiler.start");
    await pause(seconds, signal);
    return (await session.post("Profiler.stop")).profile;
  } finally {
    session.disconnect();
    isRunning = false;
  }
}

function pause(seconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, seconds * 1000);
    if (signal.aborted) end();
    else signal.addEventListener("abort", end, { once: true });
  });
}
