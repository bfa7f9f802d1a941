/**
 * Electron Forge: lays the bundles, the icons and what lies beside them into an Electron of each system, and flips its fuses
 * before anything is signed. electron-builder makes installers of the result (build/electron-builder.yml); it does neither.
 * Forge itself is installed in build/ by scripts/package.mjs, so nothing of it can be imported here.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const root = import.meta.dirname;
const { env, platform } = process;

/** Electron's fuses (https://www.electronjs.org/docs/latest/tutorial/fuses), by their numbers in @electron/fuses. */
const fuses = {
  version: "1",
  0: false, // RunAsNode
  1: true, // EnableCookieEncryption
  2: false, // EnableNodeOptionsEnvironmentVariable
  3: false, // EnableNodeCliInspectArguments
  4: true, // EnableEmbeddedAsarIntegrityValidation
  5: true, // OnlyLoadAppFromAsar
  7: false, // GrantFileProtocolExtraPrivileges
};

/** Outside the archive: the helper is copied from there, and documents are opened by other programs. */
const beside = [
  "native/helper/build/Release/sockeye-helper",
  "docs",
  "LICENSE",
  ...(env["SOCKEYE_UPDATE_URL"] === undefined ? [] : ["out/app-update.yml"]),
].filter((path) => existsSync(join(root, path)));

/** Signing is by the environment: a build without these is unsigned, and says so nowhere but in its name for testers. */
const signing = {
  ...(env["APPLE_IDENTITY"] !== undefined && {
    osxSign: {
      identity: env["APPLE_IDENTITY"],
      optionsForFile: () => ({ hardenedRuntime: true, entitlements: "build/macos/entitlements.plist" }),
    },
  }),
  ...(env["APPLE_ID"] !== undefined && {
    osxNotarize: {
      appleId: env["APPLE_ID"],
      appleIdPassword: env["APPLE_PASSWORD"],
      teamId: env["APPLE_TEAM"],
    },
  }),
  ...(env["WINDOWS_CERTIFICATE"] !== undefined && {
    windowsSign: {
      certificateFile: env["WINDOWS_CERTIFICATE"],
      certificatePassword: env["WINDOWS_CERTIFICATE_PASSWORD"],
    },
  }),
};

export default {
  packagerConfig: {
    name: "Sockeye",
    executableName: platform === "linux" ? "sockeye" : "Sockeye",
    appBundleId: "io.sockeye.app",
    appCategoryType: "public.app-category.utilities",
    icon: join(root, "resources/generated/sockeye"),
    // A compiled module has to be a file of its own for the system to load it.
    asar: { unpack: "**/{.**,**}/**/*.node" },
    prune: false,
    ignore: (path: string) =>
      path !== "" && path !== "/package.json" && !/^\/\.vite(\/build(\/|$)|$)/.test(path),
    extraResource: beside.map((path) => join(root, path)),
    protocols: [{ name: "Sockeye upstream", schemes: ["sockeye"] }],
    ...(env["SOCKEYE_ELECTRON_ZIPS"] !== undefined && { electronZipDir: env["SOCKEYE_ELECTRON_ZIPS"] }),
    ...signing,
  },
  hooks: {
    /** The very bundles that test/system/electron-bundles.test.ts runs. */
    prePackage: async () => {
      const build = spawnSync(process.execPath, ["scripts/build-desktop.mjs"], {
        cwd: root,
        stdio: "inherit",
      });
      if (build.status !== 0) throw new Error("the bundles could not be built");
    },
    /** What a package says of itself; how it was developed is of no use there. */
    packageAfterCopy: async (_config: unknown, folder: string) => {
      const file = join(folder, "package.json");
      const { version, description, license, main, desktopName } = JSON.parse(
        readFileSync(file, "utf8"),
      ) as Record<string, string>;
      const manifest = {
        name: "sockeye",
        productName: "Sockeye",
        // On Linux it is who the program says that it is: to docks, and to the portals that give out shortcuts and secrets.
        desktopName,
        version,
        description,
        license,
        main,
        type: "module",
      };
      writeFileSync(file, `${JSON.stringify(manifest, null, 2)}\n`);
    },
  },
  plugins: [{ name: "@electron-forge/plugin-fuses", config: fuses }],
};
