import { existsSync } from "node:fs";
import { join } from "node:path";
import type { AppUpdater } from "electron-updater";
import type { Updater } from "./updates.ts";

export interface UpdaterPlace {
  readonly packaged: boolean;
  readonly platform: NodeJS.Platform;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly resources: string;
}

/** Why this build can't replace itself; undefined where it can. */
export function whyNoUpdates({ packaged, platform, env, resources }: UpdaterPlace): string | undefined {
  if (!packaged) return "this is a development build";
  // Written into a package beside the program, it says where updates are.
  if (!existsSync(join(resources, "app-update.yml")))
    return "this build was made without a place for updates";
  if (platform === "linux" && env["APPIMAGE"] === undefined) {
    return "this package is updated by the system's package manager";
  }
  return undefined;
}

type UpdaterPart = Pick<
  AppUpdater,
  | "allowDowngrade"
  | "autoDownload"
  | "autoInstallOnAppQuit"
  | "channel"
  | "checkForUpdates"
  | "logger"
  | "on"
  | "quitAndInstall"
>;

/** electron-updater, in our words. It is loaded where it can work, and nowhere else. */
export async function createUpdater(place: UpdaterPlace): Promise<Updater | { readonly reason: string }> {
  const reason = whyNoUpdates(place);
  if (reason !== undefined) return { reason };
  const { default: module } = await import("electron-updater");
  // Its own choice goes by a file that a deb or an rpm, made beside the AppImage of one folder, leaves in it.
  return wrapUpdater(place.platform === "linux" ? new module.AppImageUpdater() : module.autoUpdater);
}

/** What the updater says and is told, in our words. */
export function wrapUpdater(updater: UpdaterPart): Updater {
  updater.autoDownload = true;
  updater.autoInstallOnAppQuit = true;
  updater.logger = null;
  return {
    check: async (channel) => {
      updater.channel = channel === "beta" ? "beta" : "latest";
      updater.allowDowngrade = false;
      await updater.checkForUpdates();
    },
    install: () => updater.quitAndInstall(),
    onEvent: (listener) => {
      updater.on("update-not-available", () => listener({ kind: "none" }));
      updater.on("update-available", ({ version }) => listener({ kind: "found", version }));
      updater.on("download-progress", ({ percent }) => listener({ kind: "progress", percent }));
      updater.on("update-downloaded", ({ version }) => listener({ kind: "downloaded", version }));
      updater.on("error", ({ message }) => listener({ kind: "error", message }));
    },
  };
}
