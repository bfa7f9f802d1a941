import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { connectControl, findEngine } from "../../engine/src/control/client.ts";
import forge from "../../forge.config.ts";
import { fusesOf, writeElectronZip } from "../peers/electron-zip.ts";
import { until } from "../peers/exercise.ts";
import { skipWithout, skipWithoutRoot } from "../peers/peer-process.ts";
import { onMachine, TESTER } from "../peers/throwaway-machine.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const tools = join(root, "build/node_modules/@electron-forge/cli");
const POLKITD = "/usr/lib/polkit-1/polkitd";
/** Nothing listens there: whatever is to be downloaded from it is refused at once. */
const NOWHERE = "http://127.0.0.1:9/";
const MAKE_MS = 240_000;
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
  main: string;
  desktopName: string;
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

  it("is signed by what the environment has, and otherwise not", () => {
    const signing = (env: Record<string, string>): Record<string, unknown> => {
      const show =
        "import forge from './forge.config.ts'; const { osxSign, osxNotarize, windowsSign } = forge.packagerConfig;" +
        "const options = osxSign?.optionsForFile();" +
        "console.log(JSON.stringify({ osxSign, options, osxNotarize, windowsSign }))";
      const { stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", show], {
        encoding: "utf8",
        cwd: root,
        env: { PATH: process.env["PATH"], ...env },
      });
      assert.ok(stdout, stderr);
      return JSON.parse(stdout) as Record<string, unknown>;
    };
    assert.deepEqual(signing({}), {});
    assert.deepEqual(signing({ APPLE_IDENTITY: "Us", APPLE_ID: "a", APPLE_PASSWORD: "p", APPLE_TEAM: "t" }), {
      osxSign: { identity: "Us" },
      options: { hardenedRuntime: true, entitlements: "build/macos/entitlements.plist" },
      osxNotarize: { appleId: "a", appleIdPassword: "p", teamId: "t" },
    });
    assert.deepEqual(signing({ WINDOWS_CERTIFICATE: "c.pfx", WINDOWS_CERTIFICATE_PASSWORD: "p" }), {
      windowsSign: { certificateFile: "c.pfx", certificatePassword: "p" },
    });
    const entitlements = readFileSync(join(root, "build/macos/entitlements.plist"), "utf8");
    const granted = [...entitlements.matchAll(/<key>(.*?)<\/key>\s*<true\/>/g)].map(([, key]) => key);
    assert.deepEqual(granted, ["com.apple.security.cs.allow-jit"]);
  });

  it("has an installer for each system", () => {
    const builder = readFileSync(join(root, "build/electron-builder.yml"), "utf8");
    const targets = [...builder.matchAll(/^ {2}target: \[(.*)\]$/gm)].map(([, list]) => list);
    assert.deepEqual(targets, ["dmg, zip", "nsis", "AppImage, deb, rpm"]);
  });

  it("has compiled modules that speak Node-API alone, which is the same in every Electron", () => {
    for (const name of ["tun", "udp", "handover", "sshcrypto"]) {
      const file = join(root, "native", name, "build/Release", `${name}.node`);
      if (!existsSync(file)) continue;
      const text = readFileSync(file, "latin1");
      assert.match(text, /napi_/, name);
      // As compilers write names in the spaces v8 and node: what is in them differs from one version to the next.
      assert.doesNotMatch(text, /_ZNK?2v8|_ZNK?4node|@v8@@|@node@@/, name);
    }
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

  it(
    "has an action of polkit's that polkit reads, for an administrator of this session alone",
    { skip: skipWithoutPolkit() },
    () => {
      const folder = mkdtempSync(join(tmpdir(), "sockeye-polkit-"));
      after(() => rmSync(folder, { recursive: true, force: true }));
      const { stdout, stderr } = onMachine(
        folder,
        "mkdir -p /run/dbus && bus=$(dbus-daemon --system --fork --print-pid)",
        `cp ${join(root, "build/linux/io.sockeye.helper.policy")} /usr/share/polkit-1/actions/`,
        `${POLKITD} --no-debug & polkitd=$!`,
        "for try in $(seq 200); do pkaction >/dev/null 2>&1 && break; sleep 0.05; done",
        "pkaction --verbose --action-id io.sockeye.helper.join; kill $polkitd $bus",
      );
      const said = stdout.replaceAll(/ +/g, " ");
      assert.match(
        said,
        /^ implicit any: no\n implicit inactive: no\n implicit active: auth_admin$/m,
        stderr,
      );
      assert.match(said, /policykit\.exec\.path -> \/usr\/lib\/sockeye\/sockeye-join/);
    },
  );

  it("says of itself what the desktop entry says of it, so that docks and portals know it", () => {
    assert.match(manifest.desktopName, /^[a-z]+\.[a-z]+\.[a-z]+\.desktop$/);
    assert.equal(manifest.desktopName, `${forge.packagerConfig.appBundleId}.desktop`);
  });
});

const skip =
  process.platform !== "linux"
    ? "the stand-in for Electron is one of Linux"
    : !existsSync(tools) && "what makes packages is not installed: `npm run package` does that";

describe("npm run package", { skip }, () => {
  const folder = mkdtempSync(join(tmpdir(), "sockeye-packages-"));
  after(() => rmSync(folder, { recursive: true, force: true }));
  const version = manifest.devDependencies["electron"]!;
  const app = join(root, "out", `Sockeye-linux-${process.arch}`);
  const make = join(root, "out/make");
  const zips = join(folder, "zips");
  const fpm = join(folder, "fpm");

  /** What it prints and how it ends, with a stand-in for Electron's program. */
  function pack(
    args: readonly string[],
    env: Record<string, string> = {},
  ): { status: number | null; said: string } {
    const run = spawnSync(process.execPath, [join(root, "scripts/package.mjs"), ...args], {
      encoding: "utf8",
      timeout: MAKE_MS,
      env: { ...process.env, SOCKEYE_ELECTRON_ZIPS: zips, ...env },
    });
    return { status: run.status, said: run.stdout + run.stderr };
  }

  before(() => {
    mkdirSync(zips);
    writeElectronZip(join(zips, `electron-v${version}-linux-${process.arch}.zip`), version);
    const standIn = fileURLToPath(new URL("../peers/fpm.ts", import.meta.url));
    writeFileSync(fpm, `#!/bin/sh\nexec "${process.execPath}" "${standIn}" "$@"\n`);
    chmodSync(fpm, 0o755);
  });

  it("lays an app out: archive, compiled modules beside it, helper, fuses", { timeout: MAKE_MS }, () => {
    const { status, said } = pack(["--layout-only"]);
    assert.equal(status, 0, said);
    assert.match(fusesOf(readFileSync(join(app, "sockeye"))), /^01001100/);
    const unpacked = join(app, "resources/app.asar.unpacked/.vite/build/native");
    assert.ok(existsSync(join(unpacked, "tun/build/Release/tun.node")));
    assert.ok(statSync(join(app, "resources/sockeye-helper")).mode & 0o100);
    assert.equal(statSync(app).mode & 0o777, 0o755, "everybody may run it");
    assert.ok(existsSync(join(app, "resources/docs/security.md")));
    const archive = readFileSync(join(app, "resources/app.asar")).toString("latin1");
    const index = archive.slice(0, 200_000);
    for (const file of ["main.mjs", "preload.cjs", "engine-process.mjs", "index.html", "integrity"])
      assert.ok(index.includes(`"${file}"`), file);
    assert.ok(archive.includes(`"desktopName": "${manifest.desktopName}"`));
  });

  it("says in a sentence that Electron could not be downloaded, and what to do", { timeout: MAKE_MS }, () => {
    const empty = join(folder, "cache");
    mkdirSync(empty);
    const { status, said } = pack(["--layout-only"], {
      SOCKEYE_ELECTRON_ZIPS: "",
      ELECTRON_MIRROR: NOWHERE,
      npm_config_electron_mirror: NOWHERE,
      electron_config_cache: empty,
      XDG_CACHE_HOME: empty,
    });
    assert.equal(status, 1);
    const sentence = said.trim().split("\n").at(-1)!;
    assert.match(
      sentence,
      /^sockeye: Electron \S+ for linux-\S+ could not be downloaded; put electron-v.*SOCKEYE_ELECTRON_ZIPS\.$/,
    );
  });

  it("says in a sentence that what makes installers could not be downloaded", { timeout: MAKE_MS }, () => {
    const empty = join(folder, "builder-cache");
    mkdirSync(empty);
    const { status, said } = pack(["AppImage"], {
      ELECTRON_BUILDER_BINARIES_MIRROR: NOWHERE,
      ELECTRON_BUILDER_CACHE: empty,
    });
    assert.equal(status, 1);
    const sentence = said.trim().split("\n").at(-1)!;
    assert.match(
      sentence,
      /^sockeye: what makes installers .* could not be downloaded; the app itself is laid out in out\/\.$/,
    );
  });

  it(
    "makes a deb that installs the app, the helper's units and the polkit action, and takes them away",
    { skip: skipWithout("dpkg-deb") || skipWithoutRoot(), timeout: MAKE_MS },
    () => {
      rmSync(make, { recursive: true, force: true });
      const { status, said } = pack(["deb"], {
        CUSTOM_FPM_PATH: fpm,
        SOCKEYE_UPDATE_URL: "https://updates.example/sockeye",
      });
      assert.equal(status, 0, said);
      const deb = join(
        make,
        readdirSync(make).find((name) => name.endsWith(".deb"))!,
      );
      assert.match(readFileSync(join(make, "latest-linux.yml"), "utf8"), /\.deb\n\s+sha512: /);
      const contents = spawnSync("dpkg-deb", ["-c", deb], { encoding: "utf8" }).stdout;
      for (const path of [
        "opt/Sockeye/sockeye",
        "opt/Sockeye/resources/app-update.yml",
        "usr/lib/sockeye/sockeye-helper",
        "usr/lib/sockeye/sockeye-join",
        "usr/lib/systemd/system/sockeye-helper.service",
        "usr/lib/systemd/system/sockeye-helper.socket",
        "usr/share/polkit-1/actions/io.sockeye.helper.policy",
        `usr/share/applications/${manifest.desktopName}`,
        "usr/share/icons/hicolor/256x256/apps/sockeye.png",
      ])
        assert.ok(contents.includes(` ./${path}\n`), path);

      const install = `dpkg --force-depends --install ${deb} >/dev/null 2>&1`;
      const { stdout, stderr, calls } = onMachine(
        folder,
        install,
        "stat -c '%n %U %a' /opt/Sockeye /opt/Sockeye/chrome-sandbox /usr/lib/sockeye/*",
        `cat /usr/share/applications/${manifest.desktopName}`,
        `setpriv --reuid ${TESTER.id} --regid ${TESTER.id} --clear-groups test -x /usr/bin/sockeye-desktop && echo may run`,
        `PKEXEC_UID=${TESTER.id} /usr/lib/sockeye/sockeye-join && getent group sockeye`,
        `${install} && getent group sockeye`,
        "dpkg --purge sockeye >/dev/null 2>&1",
        "ls -d /opt/Sockeye /usr/lib/sockeye /usr/bin/sockeye-desktop 2>/dev/null || getent group sockeye || echo gone",
      );
      assert.match(stdout, /^\/opt\/Sockeye root 755$/m, stderr);
      assert.match(stdout, /chrome-sandbox root 4755$/m);
      assert.match(stdout, /sockeye-helper root 755\n\/usr\/lib\/sockeye\/sockeye-join root 755$/m);
      assert.match(stdout, /^Exec=\/opt\/Sockeye\/sockeye %U$/m);
      assert.match(stdout, /^MimeType=x-scheme-handler\/sockeye;$/m);
      assert.match(stdout, new RegExp(`^StartupWMClass=${forge.packagerConfig.appBundleId}$`, "m"));
      assert.match(stdout, /^may run$/m);
      const group = `sockeye:x:\\d+:${TESTER.name}\n`;
      assert.match(stdout, new RegExp(`${group}${group}gone\n$`), "who joined stays through an upgrade");
      assert.match(
        calls,
        /enable --now sockeye-helper.socket\n(.*\n)*.*disable --now sockeye-helper.socket sockeye-helper.service\n/,
      );
    },
  );
});

/** Here, and not in a file of its own, because it builds into the same folder as the packages above. */
describe(
  "npm start",
  { skip: process.platform !== "linux" && "the stand-in for Electron is one of Linux" },
  () => {
    const folder = mkdtempSync(join(tmpdir(), "sockeye-start-"));
    after(() => rmSync(folder, { recursive: true, force: true }));
    const env = (more: Record<string, string>): NodeJS.ProcessEnv => ({
      ...process.env,
      DISPLAY: "",
      WAYLAND_DISPLAY: "",
      ELECTRON_OVERRIDE_DIST_PATH: "",
      XDG_RUNTIME_DIR: folder,
      XDG_CONFIG_HOME: folder,
      XDG_STATE_HOME: folder,
      ...more,
    });
    const script = join(root, "scripts/start.mjs");

    it("builds the app and opens it in Electron, where that is", { timeout: MAKE_MS }, () => {
      const program = join(folder, "electron");
      writeFileSync(program, `#!/bin/sh\necho "electron $*"\n`);
      chmodSync(program, 0o755);
      const { status, stdout, stderr } = spawnSync(process.execPath, [script, "sockeye://import?a"], {
        encoding: "utf8",
        timeout: MAKE_MS,
        env: env({ DISPLAY: ":99", ELECTRON_OVERRIDE_DIST_PATH: folder }),
      });
      assert.equal(status, 0, stderr);
      assert.match(stderr, /opening the desktop app/);
      assert.match(stdout, /^electron \/.* sockeye:\/\/import\?a$/m);
      const app = /^electron (\S+)/m.exec(stdout)![1]!;
      assert.ok(existsSync(join(app, manifest.main)));
    });

    const cases: readonly (readonly [string, Record<string, string>, RegExp])[] = [
      ["without a display", {}, /for a browser this time: there is no display/],
      [
        "where Electron can't be downloaded",
        {
          DISPLAY: ":99",
          ELECTRON_MIRROR: NOWHERE,
          npm_config_electron_mirror: NOWHERE,
          electron_config_cache: folder,
        },
        /for a browser this time: Electron could not be downloaded/,
      ],
    ];
    for (const [what, more, why] of cases) {
      const isDownloaded = existsSync(join(root, "node_modules/electron/path.txt"));
      const reason = isDownloaded && "ELECTRON_MIRROR" in more && "Electron is there";
      it(
        `${what} it says so, and serves the same interface, with demo upstreams and traffic`,
        { skip: reason, timeout: 120_000 },
        async () => {
          const child = spawn(process.execPath, [script, "--ui=print"], {
            env: env(more),
            stdio: ["ignore", "pipe", "pipe"],
          });
          const said = { text: "" };
          for (const stream of [child.stdout, child.stderr])
            stream.on("data", (data: Buffer) => (said.text += data.toString()));
          const exited = once(child, "exit");
          try {
            await until(
              () => /http:\/\/127\.0\.0\.1:\d+\/\S*#token=\S+/.test(said.text),
              `its address in: ${said.text}`,
              100_000,
            );
            assert.match(said.text, why);
            const address = /http:\/\/127\.0\.0\.1:\d+\//.exec(said.text)![0];
            assert.match(await (await fetch(address)).text(), /<script type="module"/);
            const client = await connectControl(findEngine({ directory: join(folder, "sockeye") }));
            try {
              const types = (await client.call("upstreams", {})).map(({ type }) => type);
              for (const type of ["ssh", "socks5", "http"] as const) assert.ok(types.includes(type), type);
              await untilAsync(async () => (await client.call("status", {})).flows.total > 0);
            } finally {
              client.close();
            }
          } finally {
            child.kill("SIGTERM");
            await exited;
          }
        },
      );
    }
  },
);

async function untilAsync(isSo: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!(await isSo())) {
    assert.ok(Date.now() < deadline, "it came to nothing");
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

function skipWithoutPolkit(): string | false {
  return skipWithout("pkaction", "dbus-daemon") || skipWithoutRoot();
}
