// `npm run package`: the desktop app for this system, laid out in out/, and installers of it in out/make. What makes packages is
// installed on first use, into build/: it is heavier than all else, and only this needs it.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const build = join(root, "build");
const layoutOnly = process.argv.includes("--layout-only");

installTools();
if (process.env.SOCKEYE_UPDATE_URL !== undefined) {
  mkdirSync(join(root, "out"), { recursive: true });
  writeFileSync(
    join(root, "out", "app-update.yml"),
    `provider: generic\nurl: ${process.env.SOCKEYE_UPDATE_URL}\nupdaterCacheDirName: sockeye-updater\n`,
  );
}
const forge = run("@electron-forge/cli/dist/electron-forge.js", ["package"]);
if (forge.status !== 0) {
  const version = JSON.parse(readFileSync(join(root, "package.json"), "utf8")).devDependencies.electron;
  giveUp(
    isDownload(forge.output)
      ? `Electron ${version} for ${process.platform}-${process.arch} could not be downloaded; put electron-v${version}-${process.platform}-${process.arch}.zip into a folder and name that in SOCKEYE_ELECTRON_ZIPS`
      : "the app could not be laid out, for the reason above",
  );
}
if (!layoutOnly) {
  const folder = readdirSync(join(root, "out")).find((name) =>
    name.startsWith(`Sockeye-${process.platform}-`),
  );
  const builder = run("electron-builder/cli.js", [
    ...["--prepackaged", join("out", folder), "--config", "build/electron-builder.yml", "--publish", "never"],
    ...(process.env.SOCKEYE_UPDATE_URL === undefined ? ["-c.publish=null"] : []),
  ]);
  if (builder.status !== 0) {
    giveUp(
      isDownload(builder.output)
        ? "what makes installers (electron-builder's tools: fpm, the AppImage runtime, NSIS) could not be downloaded; the app itself is laid out in out/"
        : "the installers could not be made, for the reason above; the app itself is laid out in out/",
    );
  }
}

function installTools() {
  const lock = join(build, "package-lock.json");
  const stamp = join(build, "node_modules", ".sockeye-lock");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === readFileSync(lock, "utf8")) return;
  console.error("sockeye: installing what makes packages (once)…");
  const { status } = spawnSync(
    "npm",
    ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
    {
      cwd: build,
      stdio: "inherit",
      shell: process.platform === "win32",
    },
  );
  if (status !== 0) giveUp("what makes packages could not be installed from the package registry");
  writeFileSync(stamp, readFileSync(lock));
}

/** Runs one of the tools in the project. Its output is shown, and kept, to tell a failed download from another failure. */
function run(script, args) {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [join(build, "node_modules", script), ...args],
    {
      cwd: root,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
      maxBuffer: 64 * 1024 * 1024,
    },
  );
  process.stdout.write(stdout);
  process.stderr.write(stderr);
  return { status, output: stdout + stderr };
}

function isDownload(output) {
  return /ENOTFOUND|ECONNREFUSED|ECONNRESET|ETIMEDOUT|EAI_AGAIN|status code (403|404|407|5\d\d)|HTTPError|RequestError|fetch failed|cannot resolve|cannot download|socket hang up/i.test(
    output,
  );
}

function giveUp(sentence) {
  console.error(`sockeye: ${sentence}.`);
  process.exit(1);
}
