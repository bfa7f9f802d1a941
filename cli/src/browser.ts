import { spawn } from "node:child_process";

/** A browser's program that has not failed by then has taken the page. */
const OPENED_MS = 3_000;

/**
 * Why no browser is tried here.
 * @returns a clause for a sentence; undefined where one may be.
 */
export function reasonForNoBrowser(env: NodeJS.ProcessEnv, platform: NodeJS.Platform): string | undefined {
  const ci = env["CI"];
  if (ci !== undefined && ci !== "" && ci !== "false" && ci !== "0") return "CI is set";
  if (platform === "darwin" || platform === "win32") {
    return env["SSH_CONNECTION"] === undefined ? undefined : "this is a session over SSH";
  }
  return env["DISPLAY"] || env["WAYLAND_DISPLAY"] ? undefined : "there is no display";
}

/**
 * Opens a file in the browser that the person has chosen.
 * @returns why that failed, as a clause for a sentence; undefined where a browser has it.
 */
export function openInBrowser(path: string): Promise<string | undefined> {
  const [program, args] = opener(path);
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      stdio: "ignore",
      detached: true,
      windowsHide: true,
      windowsVerbatimArguments: true,
    });
    // A browser that was not running yet runs for as long as its window does.
    const taken = setTimeout(() => resolve(undefined), OPENED_MS);
    const settle = (why: string | undefined) => {
      clearTimeout(taken);
      resolve(why);
    };
    child.once("error", (error: NodeJS.ErrnoException) => {
      settle(error.code === "ENOENT" ? `${program} is not installed` : error.message);
    });
    child.once("exit", (code) =>
      settle(code === 0 ? undefined : `${program} ended with status ${code ?? "none"}`),
    );
    child.unref();
  });
}

function opener(path: string): [program: string, args: string[]] {
  switch (process.platform) {
    case "darwin":
      return ["open", [path]];
    case "win32":
      // start takes the first thing in quotes for a title.
      return ["cmd.exe", ["/d", "/s", "/c", `"start "" "${path}""`]];
    default:
      return ["xdg-open", [path]];
  }
}
