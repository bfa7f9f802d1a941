import { create } from "zustand";
import { go } from "../../shell/pages.ts";

/** The first steps stand in Home's place while they are taken. */
export const FIRST_RUN = "first-run";

/** The person left them: an empty configuration does not bring them back by itself until the window is opened anew. */
export const useFirstRun = create<{ readonly left: boolean }>(() => ({ left: false }));

export function leaveFirstRun(): void {
  useFirstRun.setState({ left: true });
  go("home");
}
