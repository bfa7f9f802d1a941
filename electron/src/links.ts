import type { AppPart } from "./parts.ts";

const SCHEME = "sockeye";
/** As the contract has it. What is longer is no upstream. */
const MAX_LINK = 65_536;
/** Arguments beyond this many are not looked at. */
const MAX_ARGUMENTS = 64;

/** The `sockeye://` links among a program's arguments, as Linux and Windows hand them over. */
export function linksIn(argv: readonly string[]): string[] {
  return argv.slice(0, MAX_ARGUMENTS).filter(isLink);
}

/** One link of ours, of a length that may be one, without anything that would hide what it says. */
export function isLink(text: string): boolean {
  return (
    text.length <= MAX_LINK &&
    text.toLowerCase().startsWith(`${SCHEME}://`) &&
    !/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(text) &&
    URL.canParse(text)
  );
}

/** Makes the links this app's. A development build would register bare Electron. */
export function claimLinks(app: Pick<AppPart, "isPackaged" | "setAsDefaultProtocolClient">): void {
  if (app.isPackaged) app.setAsDefaultProtocolClient(SCHEME);
}
