/**
 * What "electron/main" and "electron/common" are to the main process's bundle when it runs in plain Node, as `node --import
 * electron-hooks.ts main.mjs`. Once a window shows the interface and the engine's process was asked for, it says so and ends.
 * SOCKEYE_TEST_LINK is a link that macOS opens while the app still starts; with SOCKEYE_TEST_SECOND another instance runs already.
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
const { SOCKEYE_TEST_LINK: link, SOCKEYE_TEST_SECOND: second } = process.env;
export const app = Object.assign(electron.app, {
  getPreferredSystemLanguages: () => ["de-DE"],
  requestSingleInstanceLock: () => second === undefined,
  whenReady: async () => {
    if (link !== undefined) electron.app.emit("open-url", { preventDefault: () => {} }, link);
  },
});
if (second !== undefined) {
  process.on("exit", () => {
    console.log(
      JSON.stringify({ calls: app.calls, windows: StubWindow.made.length, engines: electron.forks.length }),
    );
  });
}
export const dialog = {
  ...electron.parts.dialog,
  showErrorBox: (title: string, text: string) => console.error(title, text),
};

const look = setInterval(() => {
  const window = StubWindow.made[0];
  const fork = electron.forks[0];
  if (second !== undefined && app.calls.includes("quit")) process.exit();
  if (window === undefined || fork === undefined) return;
  void electron.ask(window.webContents.event(), { kind: "hello" });
  const links = window.webContents.sent.map(({ message }) => message as { name?: string; event?: unknown });
  const linked = links.filter(({ name }) => name === "link").map(({ event }) => event);
  if (link !== undefined && linked.length === 0) return;
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
        linked,
        guards: electron.app.listenerCount("web-contents-created"),
        menu: electron.applicationMenu().map(({ label }) => label),
      }),
    );
    process.exit();
  });
}, 5);
