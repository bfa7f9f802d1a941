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
  /** Whether it was the session that started the program, and not a person. */
  readonly isUsedNow: boolean;
  /** False where this system has no such thing, or a build can't: one that is not packaged would start bare Electron. */
  readonly supported: boolean;
  isOn(): boolean;
  /** @throws {Error} with a sentence. */
  set(on: boolean): void;
}

export interface LoginItemOptions extends AutostartPlace {
  readonly app: Pick<AppPart, "getLoginItemSettings" | "isPackaged" | "setLoginItemSettings">;
  readonly platform: NodeJS.Platform;
  readonly argv: readonly string[];
  readonly execPath: string;
}

/** Launch at login, by each system's own way. */
export function createLoginItem(options: LoginItemOptions): LoginItem {
  const { app, platform, env, argv, execPath } = options;
  const isUsedNow = argv.includes(HIDDEN_FLAG);
  if (!app.isPackaged) return { ...unsupported, isUsedNow };
  switch (platform) {
    case "linux": {
      const file = autostartFile(options);
      return {
        isUsedNow,
        supported: true,
        isOn: () => readAutostart(file) === "on",
        set: (on) => {
          writeAutostart(file, on ? autostartEntry(programOf(env, execPath), [HIDDEN_FLAG]) : undefined);
        },
      };
    }
    case "darwin":
      // A login item has no arguments there: the system says whether it was one.
      return systemItem(app, {
        isUsedNow: app.getLoginItemSettings().wasOpenedAtLogin,
        item: {},
        isOn: ({ openAtLogin }) => openAtLogin,
      });
    case "win32":
      return systemItem(app, {
        isUsedNow,
        item: { path: execPath, args: [HIDDEN_FLAG] },
        // The Task Manager switches an entry off and leaves it where it was.
        isOn: ({ openAtLogin, executableWillLaunchAtLogin }) => openAtLogin && executableWillLaunchAtLogin,
      });
    default:
      return { ...unsupported, isUsedNow };
  }
}

interface SystemItem {
  readonly isUsedNow: boolean;
  /** What the entry starts, where that can be said. */
  readonly item: { readonly path?: string; readonly args?: string[] };
  readonly isOn: (settings: ReturnType<AppPart["getLoginItemSettings"]>) => boolean;
}

function systemItem(app: LoginItemOptions["app"], { isUsedNow, item, isOn: read }: SystemItem): LoginItem {
  const isOn = (): boolean => read(app.getLoginItemSettings(item));
  return {
    isUsedNow,
    supported: true,
    isOn,
    set: (on) => {
      app.setLoginItemSettings({ ...item, openAtLogin: on });
      if (isOn() !== on) {
        throw new Error("the system did not take the change: look at its own list of login items");
      }
    },
  };
}

const unsupported = {
  supported: false,
  isOn: () => false,
  set: (on: boolean) => {
    if (on) throw new Error("this build can't be started at login: it is not installed");
  },
};
