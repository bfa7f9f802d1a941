import type { PendingPrompt } from "@sockeye/engine/control/contract";

/** What every question is shown with. */
export interface PromptProps {
  readonly prompt: PendingPrompt;
  /** How many wait behind this one. */
  readonly behind: number;
  /** An answer is on its way. */
  readonly busy: boolean;
  /** Null declines. */
  readonly onAnswer: (answer: string | null) => void;
}
