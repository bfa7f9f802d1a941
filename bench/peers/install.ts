// `node bench/peers/install.ts FOLDER [tun|relay]`: installs the peers of `npm run bench -- tun` and `-- relay` that package
// registries serve: Go modules and Rust crates into FOLDER, Debian packages into the system. Says what it could not install, and ends with 1 then.
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, renameSync } from "node:fs";
import { join, resolve } from "node:path";
import { findProgram } from "../../test/peers/peer-process.ts";

const GO_PROGRAMS = [
  {
    bench: "tun",
    name: "sing-box",
    path: "github.com/sagernet/sing-box/cmd/sing-box@latest",
    tags: "with_gvisor",
  },
  { bench: "tun", name: "tun2socks", path: "github.com/xjasonlyu/tun2socks/v2@latest", tags: "" },
  { bench: "relay", name: "frps", path: "github.com/fatedier/frp/cmd/frps@latest", tags: "" },
  { bench: "relay", name: "frpc", path: "github.com/fatedier/frp/cmd/frpc@latest", tags: "" },
  { bench: "relay", name: "chisel", path: "github.com/jpillora/chisel@latest", tags: "" },
];
const CRATES = [
  { bench: "relay", name: "rathole" },
  { bench: "relay", name: "bore-cli" },
];
const PACKAGES = [
  { name: "iperf3", program: "iperf3" },
  { name: "wrk", program: "wrk" },
  { name: "dante-server", program: "danted" },
];
const FROM_SOURCE = ["hev-socks5-tunnel", "hev-socks5-server"];

const failures: string[] = [];

function isAsked(program: { readonly bench: string }): boolean {
  return bench === undefined || program.bench === bench;
}

/** Runs an installer with its output shown; false when it fails. */
function install(command: string, args: readonly string[], env = process.env): boolean {
  console.log(`install: ${command} ${args.join(" ")}`);
  return spawnSync(command, args, { stdio: "inherit", env }).status === 0;
}

function installGoPrograms(folder: string): void {
  for (const { name, path, tags } of GO_PROGRAMS.filter(isAsked)) {
    if (findProgram("go") === undefined) {
      failures.push(`${name}: there is no Go toolchain`);
    } else if (
      !install("go", ["install", "-trimpath", "-tags", tags, path], { ...process.env, GOBIN: folder })
    ) {
      failures.push(`${name}: go install failed`);
    }
  }
}

function installCrates(): void {
  for (const { name } of CRATES.filter(isAsked)) {
    if (findProgram("cargo") === undefined) failures.push(`${name}: there is no Rust toolchain`);
    // Cargo's folder for programs is bin, below the one that it is told.
    else if (!install("cargo", ["install", "--root", folder, name])) {
      failures.push(`${name}: cargo install failed`);
    } else {
      for (const built of readdirSync(join(folder, "bin")))
        renameSync(join(folder, "bin", built), join(folder, built));
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

const [asked, bench] = process.argv.slice(2);
if (asked === undefined || ![undefined, "tun", "relay"].includes(bench)) {
  console.error("usage: node bench/peers/install.ts FOLDER [tun|relay]");
  process.exit(2);
}
const folder = resolve(asked);
mkdirSync(folder, { recursive: true });
installGoPrograms(folder);
installCrates();
installPackages();
const fromSource = bench === "relay" ? [] : FROM_SOURCE;
for (const name of fromSource.filter((each) => findProgram(each) === undefined)) {
  console.log(`install: ${name}: no registry serves it; build it from its source and put it into ${folder}`);
}
for (const failure of failures) console.error(`install: NOT INSTALLED: ${failure}`);
console.log(`install: SOCKEYE_BENCH_PEERS=${folder} npm run bench -- ${bench ?? "tun relay"}`);
process.exit(failures.length === 0 ? 0 : 1);
