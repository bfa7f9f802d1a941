/**
 * What "electron/main" and "electron/common" are to the main process's bundle when it runs in plain Node, as `node --import
 * electron-hooks.ts main.mjs`. Once a window shows the interface and the engine's process was asked for, it says so and ends.
 */
import { createElectron, StubWindow } from "./electron-stub.ts";

const electron = createElectron(process.env["SOCKEYE_TEST_USER_DATA"]!);
electron.setDisplays({ x: 0, y: 0, width: 1920, height: 1080 });
Object.defineProperty(process, "resourcesPath", { value: "/nowhere" });

export const {
  clipboard,
  globalShortcut,
  ipcMain,
  nativeImage,
  nativeTheme,
  powerMonitor,
  protocol,
  safeStorage,
  screen,
  session,
  shell,
  utilityProcess,
  BrowserWindow,
  Menu,
  MessageChannelMain,
  Notification,
  Tray,
} = electron.parts;
export const app = Object.assign(electron.app, { getPreferredSystemLanguages: () => ["de-DE"] });
export const dialog = {
  ...electron.parts.dialog,
  showErrorBox: (title: string, text: string) => console.error(title, text),
};

const look = setInterval(() => {
  const window = StubWindow.made[0];
  const fork = electron.forks[0];
  if (window === undefined || fork === undefined) return;
  clearInterval(look);
  const page = electron.schemes.get("sockeye-app")!(new Request(window.url));
  void Promise.resolve(page).then(async (response) => {
    console.log(
      JSON.stringify({
        calls: electron.app.calls,
        url: window.url,
        status: response.status,
        page: await response.text(),
        preload: window.options.webPreferences?.preload,
        engine: fork.path,
        menu: electron.applicationMenu().map(({ label }) => label),
      }),
    );
    process.exit();
  });
}, 5);
