const POLL_MS = 1_000;

/**
 * Calls back once when the process that started this one has ended. A system tells that to nobody but its child's next
 * parent, so it is asked each second. Keeps nothing alive. On Windows a parent's end can't be seen.
 * @returns the way to stop watching.
 */
export function whenParentEnds(callback: () => void): () => void {
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    callback();
  }, POLL_MS);
  timer.unref();
  return () => clearInterval(timer);
}
