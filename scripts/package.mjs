// `npm run package`: the desktop app for this system, laid out in out/, and installers of it in out/make: all of this system's, or
// those that are named (`npm run package -- deb rpm`). What makes packages is installed on first use, into build/: it is heavier
// than all else, and only this needs it.
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const build = join(root, "build");
const layoutOnly = process.argv.includes("--layout-only");
const kinds = process.argv.slice(2).filter((argument) => !argument.startsWith("-"));

/** How electron-builder calls a system. */
const SYSTEM_OPTIONS = { linux: "--linux", darwin: "--mac", win32: "--win" };

installTools();
const updateUrl = process.env.SOCKEYE_UPDATE_URL;
if (updateUrl !== undefined) {
  mkdirSync(join(root, "out"), { recursive: true });
  writeFileSync(
    join(root, "out", "app-update.yml"),
    `provider: generic\nurl: ${updateUrl}\nupdaterCacheDirName: sockeye-updater\n`,
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
const folder = readdirSync(join(root, "out")).find((name) => name.startsWith(`Sockeye-${process.platform}-`));
// It was made as a temporary folder, which only its maker may enter. deb and rpm install it with the rights that it has here.
chmodSync(join(root, "out", folder), 0o755);
if (!layoutOnly) {
  const builder = run("electron-builder/cli.js", [
    ...(kinds.length === 0 ? [] : [SYSTEM_OPTIONS[process.platform], ...kinds]),
    ...["--prepackaged", join("out", folder), "--config", "build/electron-builder.yml", "--publish", "never"],
    // deb and rpm have to name one. This name leads nowhere (RFC 2606).
    `-c.extraMetadata.homepage=${process.env.SOCKEYE_HOMEPAGE ?? "https://sockeye.invalid/"}`,
    ...(updateUrl === undefined ? [] : ["-c.publish.provider=generic", `-c.publish.url=${updateUrl}`]),
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
