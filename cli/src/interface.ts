import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Option } from "commander";
import { interfaceAddress, placeBrowserPage } from "@sockeye/engine/control/browser-page";
import type { EngineEntry } from "@sockeye/engine/control/directory";
import { openInBrowser, reasonForNoBrowser } from "./browser.ts";
import { CommandFailure, ExitCode } from "./exit-codes.ts";
import { complain, print } from "./output.ts";

/** Where the build puts the interface. */
const BUILT = fileURLToPath(new URL("../../renderer/dist", import.meta.url));

/** How long a browser has to read the page that sends it on. */
const PAGE_MS = 60_000;

/** `open`: in a browser, where there is one. `print`: its address only. */
export type Presentation = "open" | "print";

export function uiOption(what: string): Option {
  return new Option("--ui [how]", what).choices(["open", "print"]).preset("open").env("SOCKEYE_UI");
}

/** @throws {CommandFailure} where it is not built. */
export function builtInterface(): { readonly directory: string } {
  if (existsSync(join(BUILT, "index.html"))) return { directory: BUILT };
  const sentence = `the interface is not built: ${BUILT} is not there; npm start builds it`;
  throw new CommandFailure(ExitCode.failed, sentence);
}

/**
 * Shows a person a running engine's interface. The address, which holds the token, goes to a terminal, or where `print` asks for it.
 * @returns the way to take back what was put there for the browser.
 * @throws {ControlError} unavailable: the engine serves no interface.
 */
export async function presentInterface(entry: EngineEntry, how: Presentation): Promise<() => void> {
  const address = interfaceAddress(entry);
  if (how === "print" || process.stdout.isTTY) print(`The interface is at ${address}`);
  if (how === "print") return () => {};
  const noBrowser = reasonForNoBrowser(process.env, process.platform);
  if (noBrowser !== undefined) {
    tellOfNoBrowser(entry, noBrowser);
    return () => {};
  }
  const page = placeBrowserPage(entry);
  const failure = await openInBrowser(page.path);
  if (failure !== undefined) {
    page.remove();
    tellOfNoBrowser(entry, failure);
    return () => {};
  }
  const timer = setTimeout(() => page.remove(), PAGE_MS);
  timer.unref();
  return () => {
    clearTimeout(timer);
    page.remove();
  };
}

/**
 * The same for the engine that this process runs, which goes on whatever comes of it.
 * @param name as the engine was given it; default: the process id.
 */
export async function presentOwnInterface(name: string | undefined, how: Presentation): Promise<() => void> {
  const { findEngine } = await import("@sockeye/engine/control/client");
  try {
    return await presentInterface(findEngine({ name: name ?? String(process.pid) }), how);
  } catch (error) {
    complain(`the interface can't be shown: ${(error as Error).message}`);
    return () => {};
  }
}

/** How this very program is called, from where the person is: npm runs it in the clone, and puts no `sockeye` on the PATH. */
function invocation(): string {
  return process.env["npm_lifecycle_event"] === undefined ? "sockeye" : "npm run sockeye --";
}

function tellOfNoBrowser({ ui, name }: EngineEntry, why: string): void {
  const where = process.stdout.isTTY
    ? "open the address above"
    : `${invocation()} ui --print --engine ${name} prints its address`;
  complain(`the interface is served at ${ui ?? ""}, and no browser was opened: ${why}; ${where}`);
}
