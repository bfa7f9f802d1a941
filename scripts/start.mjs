// `npm start`: the desktop app where Electron is or can be had, and otherwise the same interface in the browser. Says which.
import { spawn, spawnSync } from "node:child_process";
import { createRequire } from "node:module";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** Electron's program is over 100 MB. */
const DOWNLOAD_MS = 5 * 60_000;

/** Where Electron's program is in its folder. */
const PROGRAMS = { darwin: "Electron.app/Contents/MacOS/Electron", win32: "electron.exe" };

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const why = whyNoWindow();
const program = why === undefined ? electronProgram() : undefined;

if (program === undefined) {
  console.error(
    `sockeye: the interface is for a browser this time: ${why ?? "Electron could not be downloaded"}`,
  );
  start(process.execPath, [join("cli", "src", "main.ts"), "demo", ...process.argv.slice(2)]);
} else {
  console.error("sockeye: opening the desktop app");
  const { status } = spawnSync(process.execPath, [join("scripts", "build-desktop.mjs")], {
    cwd: root,
    stdio: "inherit",
  });
  if (status !== 0) process.exit(1);
  start(program, [root, ...process.argv.slice(2)]);
}

/** Undefined where a window can be opened. */
function whyNoWindow() {
  if (process.platform !== "linux") return undefined;
  if (process.env.DISPLAY || process.env.WAYLAND_DISPLAY) return undefined;
  return "there is no display";
}

/** Electron's program: the one that is named as Electron itself has it named, or one downloaded at the first start. */
function electronProgram() {
  const named = process.env.ELECTRON_OVERRIDE_DIST_PATH;
  if (named) return join(named, PROGRAMS[process.platform] ?? "electron");
  const folder = dirname(createRequire(import.meta.url).resolve("electron/package.json"));
  if (!isThere(folder)) {
    console.error("sockeye: downloading Electron (once)…");
    spawnSync(process.execPath, [join(folder, "install.js")], {
      cwd: root,
      stdio: ["ignore", "ignore", "ignore"],
      timeout: DOWNLOAD_MS,
    });
  }
  return isThere(folder);
}

function isThere(folder) {
  const pathFile = join(folder, "path.txt");
  if (!existsSync(pathFile)) return undefined;
  const program = join(folder, "dist", readFileSync(pathFile, "utf8"));
  return existsSync(program) ? program : undefined;
}

function start(command, args) {
  const child = spawn(command, args, { cwd: root, stdio: "inherit" });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  child.on("error", (error) => {
    console.error(`sockeye: ${error.message}`);
    process.exit(1);
  });
  child.on("exit", (code, signal) => process.exit(code ?? (signal === null ? 1 : 128)));
}
