// `node bench/peers/install.ts FOLDER`: installs the peers of `npm run bench -- tun` that package registries serve: Go
// modules into FOLDER, Debian packages into the system. Says what it could not install, and ends with 1 then.
import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { resolve } from "node:path";
import { findProgram } from "../../test/peers/peer-process.ts";

const GO_PROGRAMS = [
  { name: "sing-box", path: "github.com/sagernet/sing-box/cmd/sing-box@latest", tags: "with_gvisor" },
  { name: "tun2socks", path: "github.com/xjasonlyu/tun2socks/v2@latest", tags: "" },
];
const PACKAGES = [
  { name: "iperf3", program: "iperf3" },
  { name: "wrk", program: "wrk" },
  { name: "dante-server", program: "danted" },
];
const FROM_SOURCE = ["hev-socks5-tunnel", "hev-socks5-server"];

const failures: string[] = [];

/** Runs an installer with its output shown; false when it fails. */
function install(command: string, args: readonly string[], env = process.env): boolean {
  console.log(`install: ${command} ${args.join(" ")}`);
  return spawnSync(command, args, { stdio: "inherit", env }).status === 0;
}

function installGoPrograms(folder: string): void {
  for (const { name, path, tags } of GO_PROGRAMS) {
    if (findProgram("go") === undefined) {
      failures.push(`${name}: there is no Go toolchain`);
    } else if (
      !install("go", ["install", "-trimpath", "-tags", tags, path], { ...process.env, GOBIN: folder })
    ) {
      failures.push(`${name}: go install failed`);
    }
  }
}

function installPackages(): void {
  const missing = PACKAGES.filter(({ program }) => findProgram(program) === undefined);
  if (missing.length === 0) return;
  const names = missing.map(({ name }) => name);
  if (findProgram("apt-get") === undefined) failures.push(`${names.join(", ")}: there is no apt-get`);
  else if (process.getuid?.() !== 0) failures.push(`${names.join(", ")}: apt-get needs root`);
  else if (!install("apt-get", ["install", "-y", "--no-install-recommends", ...names])) {
    failures.push(`${names.join(", ")}: apt-get failed`);
  }
}

const [asked] = process.argv.slice(2);
if (asked === undefined) {
  console.error("usage: node bench/peers/install.ts FOLDER");
  process.exit(2);
}
const folder = resolve(asked);
mkdirSync(folder, { recursive: true });
installGoPrograms(folder);
installPackages();
for (const name of FROM_SOURCE.filter((each) => findProgram(each) === undefined)) {
  console.log(`install: ${name}: no registry serves it; build it from its source and put it into ${folder}`);
}
for (const failure of failures) console.error(`install: NOT INSTALLED: ${failure}`);
console.log(`install: SOCKEYE_BENCH_PEERS=${folder} npm run bench -- tun`);
process.exit(failures.length === 0 ? 0 : 1);
