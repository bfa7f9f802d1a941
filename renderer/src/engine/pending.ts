import { create } from "zustand";

/** Between two calls of one action there is a moment without. */
const PAUSE_MS = 50;

/** Whether the engine owes an answer. */
export const usePending = create<{ readonly pending: boolean }>(() => ({ pending: false }));

let owed = 0;

/** Counts a call until it is answered, one way or the other. */
export function awaited<Answer>(answer: Promise<Answer>): Promise<Answer> {
  owed++;
  if (!usePending.getState().pending) usePending.setState({ pending: true });
  return answer.finally(() => {
    owed--;
    setTimeout(() => {
      if (owed === 0 && usePending.getState().pending) usePending.setState({ pending: false });
    }, PAUSE_MS);
  });
}
