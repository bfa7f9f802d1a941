/**
 * Stands in for fpm, which electron-builder calls for a deb and can't download everywhere: takes the arguments that it is called
 * with, and has dpkg-deb make the package. Run as `node fpm.ts ARGUMENTS`.
 */
import { spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

/** Options without a value. */
const FLAGS = ["--force"];
/** Which of fpm's options is which of a package's scripts. */
const SCRIPTS = { "--after-install": "postinst", "--before-remove": "prerm", "--after-remove": "postrm" };

const { options, files } = read(process.argv.slice(2));
const folder = mkdtempSync(join(tmpdir(), "sockeye-fpm-"));
try {
  // dpkg-deb takes the rights of the folder itself for those of "/".
  chmodSync(folder, 0o755);
  for (const [from, to] of files) lay(from, join(folder, to));
  mkdirSync(join(folder, "DEBIAN"));
  writeFileSync(join(folder, "DEBIAN/control"), control());
  for (const [option, script] of Object.entries(SCRIPTS)) {
    const [source] = options.get(option) ?? [];
    if (source === undefined) continue;
    copyFileSync(source, join(folder, "DEBIAN", script));
    chmodSync(join(folder, "DEBIAN", script), 0o755);
  }
  run("dpkg-deb", ["--root-owner-group", "-Zgzip", "-z1", "--build", folder, value("--package")]);
} finally {
  rmSync(folder, { recursive: true });
}

/** `--option value`, `--option=value` and `source=target`. */
function read(args: readonly string[]): { options: Map<string, string[]>; files: [string, string][] } {
  const found = new Map<string, string[]>();
  const pairs: [string, string][] = [];
  for (let at = 0; at < args.length; at++) {
    const [name = "", ...rest] = args[at]!.split("=");
    if (!name.startsWith("-")) pairs.push([name, rest.join("=")]);
    else if (rest.length > 0) found.set(name, [...(found.get(name) ?? []), rest.join("=")]);
    else if (!FLAGS.includes(name)) found.set(name, [...(found.get(name) ?? []), args[++at]!]);
  }
  return { options: found, files: pairs };
}

function lay(from: string, to: string): void {
  if (!existsSync(from)) throw new Error(`File not found, trying to read ${from}`);
  mkdirSync(dirname(to), { recursive: true });
  run("cp", ["-a", from.endsWith("/") ? `${from}.` : from, to]);
}

function control(): string {
  return [
    `Package: ${value("--name")}`,
    `Version: ${value("--version")}`,
    `Architecture: ${value("--architecture")}`,
    `Maintainer: ${value("--maintainer")}`,
    `Homepage: ${value("--url")}`,
    `Depends: ${(options.get("-d") ?? []).join(", ")}`,
    `Recommends: ${(options.get("--deb-recommends") ?? []).join(", ")}`,
    `Description: ${value("--description")}`,
    "",
  ].join("\n");
}

function value(option: string): string {
  const [first] = options.get(option) ?? [];
  if (first === undefined) throw new Error(`${option} is missing`);
  return first;
}

function run(program: string, args: readonly string[]): void {
  const { status, stderr } = spawnSync(program, args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`${program} failed: ${stderr}`);
}
