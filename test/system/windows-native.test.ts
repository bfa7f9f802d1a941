import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import { promisify } from "node:util";
import { skipWithout } from "../peers/peer-process.ts";

const run = promisify(execFile);
const require = createRequire(import.meta.url);
const COMPILER = "x86_64-w64-mingw32-g++-posix";
const NATIVE = join(import.meta.dirname, "../../native");
/** Windows 10 and later. */
const FLAGS = [
  "-std=c++17",
  "-fsyntax-only",
  "-Wall",
  "-Wextra",
  "-Werror",
  "-D_WIN32_WINNT=0x0A00",
  "-DUNICODE",
];

function sourcesIn(folder: string, prefix = ""): string[] {
  return readdirSync(join(NATIVE, folder))
    .filter((name) => name.endsWith(".cc"))
    .map((name) => prefix + name);
}

/** What Node-API needs, as native/build.mjs passes it. */
function addonFlags(): string[] {
  const folders = [
    (require("node-api-headers") as { readonly include_dir: string }).include_dir,
    dirname(require.resolve("node-addon-api/package.json")),
  ];
  return ["-DNAPI_VERSION=8", "-DNAPI_CPP_EXCEPTIONS", ...folders.flatMap((folder) => ["-isystem", folder])];
}

// One after the other: a compiler each, on machines with few processors.
describe("the Windows sources compile", { skip: skipWithout(COMPILER), concurrency: false }, () => {
  const check = async (folder: string, flags: readonly string[], sources: readonly string[]) => {
    const options = { cwd: join(NATIVE, folder), timeout: 120_000 };
    const { stderr } = await run(COMPILER, [...FLAGS, ...flags, ...sources], options);
    assert.equal(stderr, "");
  };

  it("the privileged helper", async () => {
    const flags = ["-fno-exceptions", "-fno-rtti", "-Wconversion", '-DSOCKEYE_BUILD="0"'];
    const sources = ["frames.cc", "session.cc", ...sourcesIn("helper/windows", "windows/")];
    await check("helper", [...flags, "-iquote", ".", "-iquote", "windows"], sources);
  });

  it("the modules of the engine", async () => {
    await check("egress", addonFlags(), ["windows.cc"]);
    await check("tun", addonFlags(), ["windows.cc", "waiter_event.cc", "module.cc", "software.cc"]);
  });
});
