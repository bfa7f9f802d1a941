/**
 * The desktop app's main process. Everything that has to happen before Electron is ready happens here, in order; the rest is
 * desktop.ts'.
 */
import { join } from "node:path";
import { exec } from "@vscode/sudo-prompt";
import { nativeImage, shell } from "electron/common";
import * as electron from "electron/main";
import launchDaemon from "../../build/launchd/io.sockeye.helper.plist?raw";
import helperService from "../../build/systemd/sockeye-helper.service?raw";
import helperSocket from "../../build/systemd/sockeye-helper.socket?raw";
import { Desktop } from "./desktop.ts";
import { createUpdater } from "./electron-updater.ts";
import { elevateBy } from "./helper-install.ts";
import { declareScheme } from "./interface-protocol.ts";
import type { ElectronParts } from "./parts.ts";
import { hasTray } from "./tray-presence.ts";
import { confinePages } from "./windows.ts";

const parts: ElectronParts = { ...electron, nativeImage, shell };
const { app } = parts;
const { platform, env, argv, execPath } = process;

/** The bundle's own folder, and what lies beside it: in a package Electron's resources, otherwise the project. */
const bundle = import.meta.dirname;
const beside = app.isPackaged
  ? { helper: join(process.resourcesPath, "sockeye-helper"), docs: join(process.resourcesPath, "docs") }
  : {
      helper: join(bundle, "../../native/helper/build/Release/sockeye-helper"),
      docs: join(bundle, "../../docs"),
    };

app.enableSandbox();
app.setAppUserModelId("io.sockeye.app");
declareScheme(parts.protocol);
app.on("web-contents-created", (_event, contents) => confinePages(contents));

if (app.requestSingleInstanceLock()) run();
else app.quit();

function run(): void {
  /** What comes before there is anybody to take it: macOS opens links while the app still starts. */
  const early: ((desktop: Desktop) => void)[] = [];
  let desktop: Desktop | undefined;
  const whenThere = (act: (desktop: Desktop) => void): void => {
    if (desktop === undefined) early.push(act);
    else act(desktop);
  };
  app.on("second-instance", (_event, args) => whenThere((there) => there.takeArguments(args)));
  app.on("open-url", (event, url) => {
    event.preventDefault();
    whenThere((there) => there.openLink(url));
  });
  start().then(
    (started) => {
      desktop = started;
      for (const act of early) act(started);
    },
    (error: unknown) => {
      console.error(error);
      electron.dialog.showErrorBox("Sockeye", error instanceof Error ? error.message : String(error));
      app.exit(1);
    },
  );
}

async function start(): Promise<Desktop> {
  await app.whenReady();
  return Desktop.start({
    electron: parts,
    folders: {
      preload: join(bundle, "preload.cjs"),
      engineEntry: join(bundle, "engine-process.mjs"),
      interface: join(bundle, "interface"),
      icons: join(bundle, "icons"),
      helperProgram: beside.helper,
      docs: beside.docs,
    },
    issuesAddress: ISSUES_ADDRESS,
    platform,
    env,
    argv,
    execPath,
    languages: () => electron.app.getPreferredSystemLanguages(),
    hasTray: (waitMs) => hasTray(platform, waitMs),
    updater: () =>
      createUpdater({ packaged: app.isPackaged, platform, env, resources: process.resourcesPath }),
    elevate: elevateBy(exec),
    helperFiles: {
      sha256: HELPER_SHA256 === "" ? undefined : HELPER_SHA256,
      service: helperService,
      socket: helperSocket,
      daemon: launchDaemon,
    },
  });
}
