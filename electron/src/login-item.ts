import {
  autostartEntry,
  autostartFile,
  programOf,
  readAutostart,
  writeAutostart,
  type AutostartPlace,
} from "./desktop-entry.ts";
import type { AppPart } from "./parts.ts";

/** Started by the session: no window is shown. */
export const HIDDEN_FLAG = "--hidden";

export interface LoginItem {
  /** False where this system has no such thing, or a build can't: one that is not packaged would start bare Electron. */
  readonly supported: boolean;
  isOn(): boolean;
  /** @throws {Error} with a sentence. */
  set(on: boolean): void;
}

export interface LoginItemOptions extends AutostartPlace {
  readonly app: Pick<AppPart, "getLoginItemSettings" | "isPackaged" | "setLoginItemSettings">;
  readonly platform: NodeJS.Platform;
  readonly execPath: string;
}

/** Launch at login, by each system's own way. */
export function createLoginItem(options: LoginItemOptions): LoginItem {
  const { app, platform, env, execPath } = options;
  if (!app.isPackaged) return unsupported;
  switch (platform) {
    case "linux": {
      const file = autostartFile(options);
      return {
        supported: true,
        isOn: () => readAutostart(file) === "on",
        set: (on) => {
          writeAutostart(file, on ? autostartEntry(programOf(env, execPath), [HIDDEN_FLAG]) : undefined);
        },
      };
    }
    case "darwin":
    case "win32": {
      const item = platform === "win32" ? { path: execPath, args: [HIDDEN_FLAG] } : {};
      return {
        supported: true,
        isOn: () => app.getLoginItemSettings(item).openAtLogin,
        set: (on) => {
          app.setLoginItemSettings({ ...item, openAtLogin: on });
          if (app.getLoginItemSettings(item).openAtLogin !== on) {
            throw new Error("the system did not take the change: look at its own list of login items");
          }
        },
      };
    }
    default:
      return unsupported;
  }
}

const unsupported: LoginItem = {
  supported: false,
  isOn: () => false,
  set: (on) => {
    if (on) throw new Error("this build can't be started at login: it is not installed");
  },
};
