/**
 * Programs that start with a Linux desktop session: the freedesktop Desktop Application Autostart Specification, and the
 * Desktop Entry Specification for what is in the file.
 */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, posix } from "node:path";

/** Tells our entry from one that a person or another program put in its place. */
const MARK = "X-Sockeye-Autostart=true";

export interface AutostartPlace {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly home: string;
}

/** Where the entry is: `$XDG_CONFIG_HOME/autostart`. */
export function autostartFile({ env, home }: AutostartPlace): string {
  const given = env["XDG_CONFIG_HOME"];
  const config = given?.startsWith("/") === true ? given : posix.join(home, ".config");
  return posix.join(config, "autostart", "sockeye.desktop");
}

/**
 * The program that a session is to start. Inside an AppImage that is the image: what runs is in a mount that is gone by then.
 */
export function programOf(env: AutostartPlace["env"], execPath: string): string {
  const image = env["APPIMAGE"];
  return image?.startsWith("/") === true ? image : execPath;
}

/** One argument of Exec=, quoted as the specification wants it (The Exec key), then escaped as a string value. */
export function quoteExec(argument: string): string {
  // A percent sign begins a field code, inside quotes too.
  const codes = argument.replaceAll("%", "%%");
  const quoted = /^[A-Za-z0-9_@:,./+=%-]+$/.test(argument)
    ? codes
    : `"${codes.replaceAll(/["`$\\]/g, "\\$&")}"`;
  return quoted.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll("\t", "\\t");
}

export function autostartEntry(program: string, args: readonly string[]): string {
  return [
    "[Desktop Entry]",
    "Type=Application",
    "Name=Sockeye",
    "Comment=Sends this machine's traffic upstream",
    `Exec=${[program, ...args].map(quoteExec).join(" ")}`,
    "Icon=sockeye",
    "Terminal=false",
    "X-GNOME-Autostart-enabled=true",
    MARK,
    "",
  ].join("\n");
}

export type AutostartState = "on" | "off" | "foreign";

/** `foreign`: there is an entry of that name that is not ours. */
export function readAutostart(file: string): AutostartState {
  const text = readEntry(file);
  if (text === undefined) return "off";
  if (!text.split("\n").includes(MARK)) return "foreign";
  // Desktops switch an entry off by these keys instead of taking it away.
  return /^(Hidden=true|X-GNOME-Autostart-enabled=false)\s*$/m.test(text) ? "off" : "on";
}

/** @throws {Error} with a sentence where the entry is somebody else's, or can't be written. */
export function writeAutostart(file: string, entry: string | undefined): void {
  if (readAutostart(file) === "foreign") {
    throw new Error(`${file} was made by somebody else, and stays as it is`);
  }
  if (entry === undefined) {
    rmSync(file, { force: true });
    return;
  }
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(`${file}.new`, entry, { mode: 0o644 });
  renameSync(`${file}.new`, file);
}

function readEntry(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
