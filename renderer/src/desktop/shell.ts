import {
  BRIDGE_NAME,
  type DesktopBridge,
  type DesktopCallName,
  type DesktopParams,
  type DesktopResult,
} from "./contract.ts";

declare global {
  interface Window {
    readonly [BRIDGE_NAME]?: DesktopBridge;
  }
}

/** The desktop shell around this page; undefined in a browser. */
export const shell: DesktopBridge | undefined = window[BRIDGE_NAME];

/** @throws {Error} in a browser, and with the shell's sentence. Ask `shell` first. */
export function callShell<Name extends DesktopCallName>(
  name: Name,
  params: DesktopParams<Name>,
): Promise<DesktopResult<Name>> {
  return shell ? shell.call(name, params) : Promise.reject(new Error("only the desktop app can do that"));
}

/** Through the shell, for the page itself may not; in a browser by its own permission. */
export async function copyText(text: string): Promise<void> {
  if (shell) await shell.call("clipboard.write", { text });
  else await navigator.clipboard.writeText(text);
}

/** A file of the person's choice of place; in a browser a download. False: they chose nowhere. */
export async function saveText(name: string, text: string): Promise<boolean> {
  if (shell) return (await shell.call("file.save", { name, text })).saved;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
  return true;
}

/** A file that the person chooses, at most of this many bytes. Null: none. */
export async function openText(maxBytes: number): Promise<{ name: string; text: string } | null> {
  if (shell) return shell.call("file.open", {});
  const input = document.createElement("input");
  input.type = "file";
  const chosen = await new Promise<File | undefined>((resolve) => {
    input.addEventListener("change", () => resolve(input.files?.[0]));
    input.addEventListener("cancel", () => resolve(undefined));
    input.click();
  });
  if (!chosen) return null;
  if (chosen.size > maxBytes) throw new Error(`${chosen.name} is larger than ${maxBytes / 1024} KB`);
  return { name: chosen.name, text: await chosen.text() };
}
