import { execFile } from "node:child_process";

/** The name that a Linux desktop's panel owns on the session bus where it shows status icons (StatusNotifierItem). */
const WATCHER = "org.kde.StatusNotifierWatcher";
const ASK_MS = 2_000;

/** Each asks the bus whether somebody owns the name, by a program that one desktop or another has. */
const questions: readonly (readonly [program: string, ...args: string[]])[] = [
  [
    "gdbus",
    ...["call", "--session", "--dest", "org.freedesktop.DBus", "--object-path", "/org/freedesktop/DBus"],
    ...["--method", "org.freedesktop.DBus.NameHasOwner", WATCHER],
  ],
  [
    "dbus-send",
    ...["--session", "--print-reply", "--dest=org.freedesktop.DBus", "/org/freedesktop/DBus"],
    ...["org.freedesktop.DBus.NameHasOwner", `string:${WATCHER}`],
  ],
];

export type Run = (program: string, args: readonly string[]) => Promise<string>;

const LOOK_AGAIN_MS = 500;

/**
 * Whether a tray icon would be seen, or will be within so many milliseconds: a session starts its panel and its programs side by side.
 * Stock GNOME has no tray, and an icon is lost there without a word. Where nobody can be asked the answer is no: a window that
 * stays is better than an app that can't be found.
 */
export async function hasTray(
  platform: NodeJS.Platform,
  waitMs: number,
  run: Run = runProgram,
): Promise<boolean> {
  if (platform !== "linux") return true;
  const deadline = Date.now() + waitMs;
  for (;;) {
    const answer = await isWatched(run);
    const left = deadline - Date.now();
    if (answer !== false || left <= 0) return answer === true;
    await new Promise((resolve) => setTimeout(resolve, Math.min(LOOK_AGAIN_MS, left)));
  }
}

/** Undefined where nobody can be asked. */
async function isWatched(run: Run): Promise<boolean | undefined> {
  for (const [program, ...args] of questions) {
    try {
      return /\btrue\b/.test(await run(program, args));
    } catch {
      // Not installed, or no session bus: the next may know.
    }
  }
  return undefined;
}

function runProgram(program: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(program, [...args], { timeout: ASK_MS }, (error, stdout) => {
      if (error === null) resolve(stdout);
      else reject(new Error(`${program} did not answer`, { cause: error }));
    });
  });
}
