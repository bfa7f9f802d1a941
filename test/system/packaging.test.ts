import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import forge from "../../forge.config.ts";
import { fusesOf, writeElectronZip } from "../peers/electron-zip.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const tools = join(root, "build/node_modules/@electron-forge/cli");
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
  main: string;
  devDependencies: Record<string, string>;
};

describe("what is packaged", () => {
  it("holds the bundles and nothing of the project around them", () => {
    const { ignore } = forge.packagerConfig;
    for (const path of [
      "",
      "/package.json",
      "/.vite",
      "/.vite/build",
      `/${manifest.main}`,
      "/.vite/build/native/tun",
    ])
      assert.equal(ignore(path), false, path);
    for (const path of [
      "/engine",
      "/node_modules",
      "/.git",
      "/.vite/other",
      "/.vitest",
      "/package-lock.json",
    ])
      assert.equal(ignore(path), true, path);
  });

  it("has its fuses flipped by Forge, not by electron-builder, which leaves a packaged app as it is", () => {
    const [plugin] = forge.plugins;
    assert.equal(plugin?.name, "@electron-forge/plugin-fuses");
    const { 0: runAsNode, 2: nodeOptions, 3: inspect, 4: integrity, 5: onlyAsar } = plugin.config;
    assert.deepEqual(
      [runAsNode, nodeOptions, inspect, integrity, onlyAsar],
      [false, false, false, true, true],
    );
    const builder = readFileSync(join(root, "build/electron-builder.yml"), "utf8");
    assert.doesNotMatch(builder, /^\s*electronFuses:/m);
    const packaging = readFileSync(join(root, "scripts/package.mjs"), "utf8");
    assert.match(packaging, /--prepackaged/);
  });

  it("names only files that are there, in installers too", () => {
    const builder = readFileSync(join(root, "build/electron-builder.yml"), "utf8");
    const named = [...builder.matchAll(/(?:^|[\s=])(build\/[\w./-]+|native\/[\w./-]+)/gm)].map(
      ([, path]) => path!,
    );
    assert.ok(named.length >= 8);
    for (const path of named) assert.ok(existsSync(join(root, path)), path);
    for (const path of readdirSync(join(root, "build/linux"))) {
      if (path.endsWith(".policy")) continue;
      const check = spawnSync("sh", ["-n", join(root, "build/linux", path)], { encoding: "utf8" });
      assert.equal(check.status, 0, `${path}: ${check.stderr}`);
    }
  });

  const skip =
    process.platform !== "linux"
      ? "the stand-in for Electron is one of Linux"
      : !existsSync(tools) && "what makes packages is not installed: `npm run package` does that";
  it(
    "an app is laid out: archive, compiled modules beside it, helper, fuses",
    { skip, timeout: 120_000 },
    () => {
      const zips = mkdtempSync(join(tmpdir(), "sockeye-zips-"));
      after(() => rmSync(zips, { recursive: true, force: true }));
      const version = manifest.devDependencies["electron"]!;
      writeElectronZip(join(zips, `electron-v${version}-linux-${process.arch}.zip`), version);
      const made = spawnSync(process.execPath, [join(root, "scripts/package.mjs"), "--layout-only"], {
        encoding: "utf8",
        env: { ...process.env, SOCKEYE_ELECTRON_ZIPS: zips },
      });
      assert.equal(made.status, 0, made.stdout + made.stderr);
      const app = join(root, "out", `Sockeye-linux-${process.arch}`);
      assert.match(fusesOf(readFileSync(join(app, "sockeye"))), /^010011/);
      const unpacked = join(app, "resources/app.asar.unpacked/.vite/build/native");
      assert.ok(existsSync(join(unpacked, "tun/build/Release/tun.node")));
      assert.ok(statSync(join(app, "resources/sockeye-helper")).mode & 0o100);
      assert.ok(existsSync(join(app, "resources/docs/security.md")));
      const archive = readFileSync(join(app, "resources/app.asar")).toString("latin1", 0, 200_000);
      for (const file of ["main.mjs", "preload.cjs", "engine-process.mjs", "index.html", "integrity"])
        assert.ok(archive.includes(`"${file}"`), file);
    },
  );
});
