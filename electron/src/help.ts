import { join } from "node:path";
import type { DesktopParams } from "@sockeye/renderer/desktop/contract";
import type { ExternalPart } from "./parts.ts";

export type HelpPage = DesktopParams<"help.open">["page"];

export interface HelpPlace {
  /** The documents that came with this build. */
  readonly docs: string;
  /** Empty where this build names none. */
  readonly issuesAddress: string;
}

/** Opens one of our own pages with the program that the person uses for such. @throws {Error} with a sentence. */
export async function openHelp(shell: ExternalPart, page: HelpPage, place: HelpPlace): Promise<void> {
  if (page === "issues") {
    if (place.issuesAddress === "") {
      throw new Error(
        "This build names no place for problems: save a report, and send it to whom you got Sockeye from.",
      );
    }
    await shell.openExternal(place.issuesAddress);
    return;
  }
  await openFile(shell, join(place.docs, page === "docs" ? "desktop.md" : "security.md"));
}

/** With the program that the person uses for such files. @throws {Error} with a sentence. */
export async function openFile(shell: ExternalPart, file: string): Promise<void> {
  const problem = await shell.openPath(file);
  if (problem !== "") throw new Error(`${file} could not be opened: ${problem}`);
}
