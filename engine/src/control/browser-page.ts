import { ControlError } from "./control-error.ts";
import { placePage, runtimeDirectory, type EngineEntry } from "./directory.ts";

/**
 * The address that a browser opens. The token is in the fragment, which no browser sends to anybody and no log of a
 * server holds.
 * @throws {ControlError} unavailable: the engine serves no interface.
 */
export function interfaceAddress({ ui, token }: Pick<EngineEntry, "ui" | "token">): string {
  if (ui === undefined) {
    throw new ControlError(
      "unavailable",
      "this engine was started without its interface; stop it and start it with: sockeye run --ui",
    );
  }
  return `${ui}#token=${token}`;
}

/**
 * A page on disk that sends a browser on to an engine's interface: what is given to the browser's program is the page's path, so that no
 * list of processes shows the token. Only the owner can read it, as the token beside it.
 * @throws {ControlError} unavailable: the engine serves no interface, or the page can't be written.
 */
export function placeBrowserPage(
  entry: EngineEntry,
  directory: string = runtimeDirectory(),
): { readonly path: string; readonly remove: () => void } {
  const address = escapeAttribute(interfaceAddress(entry));
  return placePage(
    directory,
    entry.name,
    `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="referrer" content="no-referrer" />
    <meta http-equiv="refresh" content="0; url=${address}" />
    <title>Sockeye</title>
  </head>
  <body>
    <p><a href="${address}">Open Sockeye</a></p>
  </body>
</html>
`,
  );
}

function escapeAttribute(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll('"', "&quot;").replaceAll("<", "&lt;");
}
