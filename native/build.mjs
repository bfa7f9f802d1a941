// Builds our native code with the machine's C++ compiler. No headers are downloaded: `node-api-headers` carries them.
// A machine without a compiler still runs: each module has a slower way in JavaScript, and the engine says which is in use.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const require = createRequire(import.meta.url);
const force = process.argv.includes("--force");

/** What of native/tun belongs to this system. */
const tunSources = {
  linux: ["linux.cc", "vnet.cc", "waiter_poll.cc"],
  darwin: ["macos.cc", "waiter_poll.cc"],
  win32: ["windows.cc", "waiter_event.cc"],
};

/** Each module, its sources, other files that a change of is a change of it, and what people lose without it. */
const modules = [
  {
    name: "sshcrypto",
    sources: ["sshcrypto.cc"],
    without: "SSH upstreams will use node:crypto, which carries less",
  },
  {
    name: "handover",
    sources: ["handover.cc"],
    without: "the helper can't be spoken with, so there is no TUN mode",
    onlyOn: ["linux", "darwin"],
  },
  {
    name: "egress",
    sources: [process.platform === "win32" ? "windows.cc" : "macos.cc"],
    without: "there is no TUN mode",
    onlyOn: ["darwin", "win32"],
    libraries: ["iphlpapi.lib", "ws2_32.lib"],
  },
  {
    name: "tun",
    sources: [
      "module.cc",
      "segment.cc",
      "checksum.cc",
      "software.cc",
      ...(tunSources[process.platform] ?? []),
    ],
    headers: ["burst.h", "checksum.h", "device.h", "segment.h", "software.h", "vnet.h", "waiter.h", "wire.h"],
    without: "there is no TUN mode",
  },
  {
    name: "udp",
    sources: ["module.cc", "socket.cc", "../tun/waiter_poll.cc"],
    headers: ["layout.h", "socket.h", "../tun/waiter.h"],
    without: "datagrams will go out one by one, which costs more for each",
    onlyOn: ["linux"],
  },
];

/** All of the privileged helper but what tests it; Windows' is built as docs/platforms.md says. */
const posixHelper = [
  "frames.cc",
  "session.cc",
  "posix/main.cc",
  "posix/serve.cc",
  "posix/lock.cc",
  "posix/files.cc",
];
const helperSources = {
  linux: [
    ...posixHelper,
    ...["machine", "confine", "device", "routing", "netlink", "dns", "journal"].map(
      (name) => `linux/${name}.cc`,
    ),
  ],
  darwin: [
    ...posixHelper,
    ...["machine", "caller", "device", "routes", "routing", "dns"].map((name) => `macos/${name}.cc`),
  ],
}[process.platform];
const helperFolders = [".", "posix", process.platform === "darwin" ? "macos" : "linux"];

for (const module of modules) {
  if (module.onlyOn !== undefined && !module.onlyOn.includes(process.platform)) continue;
  const problem = build(module);
  if (problem !== undefined)
    console.error(`sockeye: ${module.name} was not built (${problem}): ${module.without}`);
}
if (helperSources !== undefined) {
  const problem = buildHelper(helperSources);
  if (problem !== undefined)
    console.error(
      `sockeye: the privileged helper was not built (${problem}): TUN mode will not be available`,
    );
}

/** @returns why it could not be built, in a few words; undefined when it is there and current. */
function build({ name, sources, headers = [], libraries = [] }) {
  const folder = join(here, name);
  const output = join(folder, "build", "Release", `${name}.node`);
  const files = sources.map((source) => join(folder, source));

  let include;
  try {
    include = includeFolders();
  } catch {
    return "node-addon-api and node-api-headers are not installed";
  }
  const temporary = join(folder, "build", "Release", `${name}.${process.pid}.node`);
  const [compiler, args] =
    process.platform === "win32"
      ? windowsCommand({ files, include, output: temporary, folder, libraries })
      : unixCommand({ files, include, output: temporary });
  const inputs = [...files, ...headers.map((header) => join(folder, header))];
  return compile({ folder, output, temporary, inputs, compiler, args });
}

/** The privileged helper, a program of its own. @returns as build() does. */
function buildHelper(names) {
  const folder = join(here, "helper");
  const output = join(folder, "build", "Release", "sockeye-helper");
  const temporary = `${output}.${process.pid}`;
  const folders = helperFolders.map((name) => join(folder, name));
  const sources = names.map((name) => join(folder, name));
  const headers = folders.flatMap((each) =>
    readdirSync(each)
      .filter((name) => name.endsWith(".h"))
      .sort()
      .map((name) => join(each, name)),
  );
  const inputs = [...sources, ...headers];
  const isMac = process.platform === "darwin";
  const { version } = JSON.parse(readFileSync(join(here, "..", "package.json"), "utf8"));
  const args = [
    "-std=c++17",
    "-Os",
    "-fPIE",
    "-fno-exceptions",
    "-fno-rtti",
    "-fvisibility=hidden",
    "-fstack-protector-strong",
    "-fstack-clash-protection",
    "-U_FORTIFY_SOURCE",
    "-D_FORTIFY_SOURCE=2",
    "-D_GLIBCXX_ASSERTIONS",
    "-Wall",
    "-Wextra",
    "-Wconversion",
    `-DSOCKEYE_BUILD="${version}"`,
    // Not -I: there is a linux/netlink.h of the system's, too.
    ...folders.flatMap((each) => ["-iquote", each]),
    ...sources,
    ...(isMac
      ? ["-framework", "CoreFoundation", "-framework", "SystemConfiguration"]
      : ["-pie", "-s", "-Wl,-z,relro,-z,now,-z,noexecstack"]),
    "-o",
    temporary,
  ];
  return compile({ folder, output, temporary, inputs, compiler: process.env.CXX ?? "c++", args });
}

/** Runs a compiler whose output is `temporary`, unless what it made before from the same inputs is there. */
function compile({ folder, output, temporary, inputs, compiler, args }) {
  const stamp = `${output}.sha256`;
  const digest = createHash("sha256");
  for (const file of inputs) digest.update(readFileSync(file));
  digest.update(
    JSON.stringify([process.platform, process.arch, compiler, args.filter((a) => a !== temporary)]),
  );
  const wanted = digest.digest("hex");
  if (!force && existsSync(output) && existsSync(stamp) && readFileSync(stamp, "utf8") === wanted)
    return undefined;

  mkdirSync(dirname(output), { recursive: true });
  const { status, error, stderr } = spawnSync(compiler, args, { cwd: folder, encoding: "utf8" });
  if (error !== undefined) return `no C++ compiler: ${compiler} did not start`;
  if (status !== 0) {
    rmSync(temporary, { force: true });
    const line = `${stderr}`.split("\n").find((text) => /error/i.test(text)) ?? `status ${status}`;
    return `${compiler} failed: ${line.trim()}`;
  }
  // A running engine may hold the old file open: the new one takes its name in one step.
  try {
    renameSync(temporary, output);
  } catch (cause) {
    rmSync(temporary, { force: true });
    return `${output} could not be replaced: ${cause.message}`;
  }
  writeFileSync(stamp, wanted);
  return undefined;
}

function includeFolders() {
  return [require("node-api-headers").include_dir, dirname(require.resolve("node-addon-api/package.json"))];
}

function unixCommand({ files, include, output }) {
  const compiler = process.env.CXX ?? "c++";
  const linking =
    process.platform === "darwin"
      ? ["-bundle", "-undefined", "dynamic_lookup"]
      : ["-shared", "-Wl,-z,relro,-z,now"];
  return [
    compiler,
    [
      "-std=c++17",
      "-O2",
      "-fPIC",
      "-fvisibility=hidden",
      "-fstack-protector-strong",
      "-Wall",
      "-Wextra",
      "-DNAPI_VERSION=8",
      "-DNAPI_CPP_EXCEPTIONS",
      // A thread that is being ended takes no exception any more: without this, the process ends in its place.
      "-DNODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS",
      ...include.flatMap((folder) => ["-isystem", folder]),
      ...files,
      ...linking,
      ...(process.platform === "linux" ? ["-ldl"] : []),
      "-o",
      output,
    ],
  ];
}

/** From a Visual Studio prompt. Node's own functions are imported from the host program by a library made of their names. */
function windowsCommand({ files, include, output, folder, libraries }) {
  const definitions = require("node-api-headers").def_paths.node_api_def;
  const library = join(folder, "build", "Release", "node_api.lib");
  mkdirSync(dirname(library), { recursive: true });
  spawnSync("lib", ["/nologo", `/def:${definitions}`, `/out:${library}`, "/machine:x64"], {
    stdio: "ignore",
  });
  return [
    "cl",
    [
      "/nologo",
      "/std:c++17",
      "/O2",
      "/EHsc",
      "/MD",
      "/LD",
      "/DNAPI_VERSION=8",
      "/DNAPI_CPP_EXCEPTIONS",
      ...include.map((directory) => `/I${directory}`),
      ...files,
      "/link",
      library,
      ...libraries,
      `/OUT:${output}`,
    ],
  ];
}
