import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { defaultPaths, type Paths } from "@sockeye/engine/config/paths";
import { readConfigText, writeConfigText } from "@sockeye/engine/control/config-file";
import { ControlError } from "@sockeye/engine/control/control-error";
import type { DesktopFacts, DesktopParams, DesktopSettings } from "@sockeye/renderer/desktop/contract";
import { openText, saveText } from "./documents.ts";
import { EngineHost } from "./engine-host.ts";
import type { EngineSnapshot } from "./engine-view.ts";
import { openFile, openHelp, type HelpPage } from "./help.ts";
import { HelperInstaller, type Elevate } from "./helper-install.ts";
import type { HelperFiles } from "./helper-script.ts";
import { serveInterface } from "./interface-protocol.ts";
import { Page, type DesktopHandlers } from "./ipc.ts";
import { claimLinks, isLink, linksIn } from "./links.ts";
import { createLoginItem, HIDDEN_FLAG, type LoginItem } from "./login-item.ts";
import { applicationMenu } from "./menu.ts";
import { Notifications } from "./notifications.ts";
import type { ElectronParts } from "./parts.ts";
import { Secrets } from "./secrets.ts";
import { Settings } from "./settings.ts";
import { Shortcut } from "./shortcut.ts";
import { languageOf, textsIn, type Say } from "./texts.ts";
import type { TrayActions } from "./tray-menu.ts";
import { TrayIcon } from "./tray.ts";
import { Updates, type Updater } from "./updates.ts";
import { denyPermissions, MainWindow } from "./windows.ts";

/** A session's panel is there by then, or there is none. */
const PANEL_MS = 10_000;

/** Where the parts of this build are. */
interface DesktopFolders {
  /** The preload script, the engine's entry, the interface. */
  readonly preload: string;
  readonly engineEntry: string;
  readonly interface: string;
  /** Icons of the window and the tray. */
  readonly icons: string;
  readonly helperProgram: string;
  readonly docs: string;
}

export interface DesktopOptions {
  readonly electron: ElectronParts;
  readonly folders: DesktopFolders;
  readonly platform: NodeJS.Platform;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly argv: readonly string[];
  readonly execPath: string;
  readonly languages: () => readonly string[];
  /** Whether a tray icon would be seen, or will be within so many milliseconds. */
  readonly hasTray: (waitMs: number) => Promise<boolean>;
  readonly updater: () => Promise<Updater | { readonly reason: string }>;
  readonly elevate: Elevate;
  readonly issuesAddress: string;
  readonly helperFiles: Omit<HelperFiles, "sha256"> & { readonly sha256: string | undefined };
}

/** The coordinator: makes the parts, and hands what happens in one to the others that it concerns. */
export class Desktop {
  readonly #options: DesktopOptions;
  readonly #settings: Settings;
  readonly #secrets: Secrets;
  readonly #loginItem: LoginItem;
  readonly #shortcut: Shortcut;
  readonly #window: MainWindow;
  readonly #page: Page;
  readonly #engine: EngineHost;
  readonly #notifications: Notifications;
  readonly #installer: HelperInstaller;
  readonly #paths: Paths;
  #updates: Updates;
  #tray: TrayIcon | undefined;
  #isClosing = false;
  #hasDrained = false;

  /** Once the app is ready. */
  static async start(options: DesktopOptions): Promise<Desktop> {
    const updater = await options.updater();
    const desktop = new Desktop(options, updater);
    await desktop.#run();
    return desktop;
  }

  private constructor(options: DesktopOptions, updater: Updater | { readonly reason: string }) {
    const { electron, folders, platform, env, argv, execPath } = options;
    const folder = electron.app.getPath("userData");
    this.#options = options;
    this.#paths = defaultPaths({ env, home: homedir(), platform });
    this.#settings = new Settings(folder);
    this.#secrets = new Secrets({ safeStorage: electron.safeStorage, folder, platform });
    this.#loginItem = createLoginItem({ app: electron.app, platform, env, argv, home: homedir(), execPath });
    this.#shortcut = new Shortcut(electron.globalShortcut, () => this.#act(this.#engine.view.toggle()));
    this.#window = new MainWindow({
      electron,
      stateFolder: folder,
      preload: folders.preload,
      icon: join(folders.icons, platform === "win32" ? "sockeye.ico" : "sockeye.png"),
      hidesOnClose: () => this.#tray !== undefined && this.#settings.current.closeToTray,
      onHidden: () => {
        if (!this.#settings.hasTold("staysInTray") && this.#notifications.hint()) {
          this.#settings.markTold("staysInTray");
        }
      },
      onShown: () => this.#notifications.close(),
      onGone: (reason) => this.#explain(this.#say("pageGone", { reason })),
    });
    this.#notifications = new Notifications({
      electron,
      say: () => this.#say,
      wanted: () => this.#settings.current.notifications && !this.#window.isVisible,
      onClick: () => this.#window.show(),
    });
    this.#engine = new EngineHost({
      electron,
      entry: folders.engineEntry,
      env,
      version: electron.app.getVersion(),
      paths: this.#paths,
      secrets: this.#secrets,
      connectOnLaunch: () => this.#settings.current.connectOnLaunch,
      onState: (state) => {
        this.#page.tell("engine", state);
        this.#notifications.engine(state);
        this.#tray?.update(this.#engine.view.snapshot);
      },
      onSnapshot: (snapshot) => this.#show(snapshot),
    });
    this.#installer = new HelperInstaller({
      elevate: options.elevate,
      platform,
      user: process.getuid?.(),
      program: folders.helperProgram,
      files: options.helperFiles,
      temporary: tmpdir(),
      status: () => this.#engine.view.helper(),
    });
    this.#updates = new Updates(
      updater,
      () => this.#settings.current.updateChannel,
      (state) => this.#page.tell("update", state),
    );
    this.#page = new Page({
      ipcMain: electron.ipcMain,
      handlers: this.#handlers(),
      contents: () => this.#window.contents,
      openEnginePort: () => this.#engine.openPort(),
    });
  }

  async #run(): Promise<void> {
    const { electron, folders, argv, hasTray } = this.#options;
    serveInterface(electron.protocol, folders.interface);
    denyPermissions(electron.session.defaultSession);
    electron.nativeTheme.themeSource = this.#settings.current.theme;
    claimLinks(electron.app);
    this.#followSettings();
    this.#page.tell("settings", this.#settings.current);
    this.#page.tell("engine", this.#engine.state);
    this.#page.tell("update", this.#updates.state);
    this.#setMenu();
    this.#followApp();
    this.#takeShortcut();
    if (await hasTray(0)) this.#tray = this.#makeTray();
    this.#engine.start();
    this.#updates.start();
    const links = linksIn(argv);
    if (!this.#loginItem.isUsedNow || links.length > 0) this.#window.show();
    else if (this.#tray === undefined) void this.#waitForPanel();
    for (const link of links) this.openLink(link);
  }

  /** Started by the session it stays out of sight, where it can be found. */
  async #waitForPanel(): Promise<void> {
    const isThere = await this.#options.hasTray(PANEL_MS);
    if (this.#isClosing) return;
    if (isThere) this.#tray = this.#makeTray();
    else this.#window.show();
  }

  /** Another start of the program, which has ended: what it was started with. */
  takeArguments(argv: readonly string[]): void {
    for (const link of linksIn(argv)) this.openLink(link);
    if (!argv.includes(HIDDEN_FLAG)) this.#window.show();
  }

  /** A link does nothing by itself: the interface shows what it would add. */
  openLink(link: string): void {
    if (!isLink(link)) return;
    this.#window.show();
    this.#page.tell("link", { text: link });
  }

  get #say(): Say {
    return textsIn(languageOf(this.#settings.current.language, this.#options.languages()));
  }

  #followApp(): void {
    const { app } = this.#options.electron;
    app.on("activate", () => this.#window.show());
    app.on("window-all-closed", () => {
      if (this.#tray === undefined) app.quit();
    });
    app.on("before-quit", () => this.#window.leave());
    app.on("will-quit", (event) => {
      if (this.#hasDrained) return;
      event.preventDefault();
      void this.#close().then(() => {
        this.#hasDrained = true;
        app.quit();
      });
    });
  }

  async #close(): Promise<void> {
    this.#isClosing = true;
    this.#updates.close();
    this.#notifications.close();
    this.#shortcut.use(null);
    await this.#engine.stop();
    this.#tray?.close();
  }

  #followSettings(): void {
    this.#settings.onChange((settings, before) => {
      this.#page.tell("settings", settings);
      this.#options.electron.nativeTheme.themeSource = settings.theme;
      if (settings.language === before.language) return;
      this.#setMenu();
      this.#tray?.update(this.#engine.view.snapshot);
    });
  }

  /** One that another program took meanwhile is told, and stays in the settings for the next start. */
  #takeShortcut(): void {
    try {
      this.#shortcut.use(this.#settings.current.shortcut);
    } catch (error) {
      this.#explain(error instanceof Error ? error.message : String(error));
    }
  }

  #setMenu(): void {
    const { Menu } = this.#options.electron;
    const template = applicationMenu(
      this.#options.platform,
      {
        openSettings: () => this.#open("settings"),
        openHelp: (page) => this.#act(this.#openHelp(page)),
        quit: () => this.#options.electron.app.quit(),
      },
      this.#say,
    );
    Menu.setApplicationMenu(Menu.buildFromTemplate(template));
  }

  #makeTray(): TrayIcon {
    const actions: TrayActions = {
      setConnected: (on) => this.#act(this.#engine.view.setConnected(on)),
      setDefault: (name) => this.#act(this.#engine.view.setDefault(name)),
      setTun: (enabled) => this.#act(this.#engine.view.setTun(enabled)),
      open: () => this.#window.show(),
      openUpstreams: () => this.#open("upstreams"),
      quit: () => this.#options.electron.app.quit(),
    };
    const { electron, platform, folders } = this.#options;
    const tray = new TrayIcon({
      electron,
      platform,
      folder: folders.icons,
      actions,
      say: () => this.#say,
      isStarting: () => this.#engine.state.state !== "failed",
    });
    tray.update(this.#engine.view.snapshot);
    return tray;
  }

  #show(snapshot: EngineSnapshot | undefined): void {
    this.#tray?.update(snapshot);
    if (snapshot !== undefined) this.#notifications.connection(snapshot.connection, snapshot.default);
  }

  #open(page: "settings" | "upstreams"): void {
    this.#window.show();
    this.#page.tell("navigate", { page });
  }

  #openHelp(page: HelpPage): Promise<void> {
    const { electron, folders, issuesAddress } = this.#options;
    return openHelp(electron.shell, page, { docs: folders.docs, issuesAddress });
  }

  /** What is asked for from the tray, the menu or by the shortcut never fails without a word. */
  #act(work: Promise<void>): void {
    work.catch((error: unknown) => {
      // The settings say what the helper is, and install it.
      if (error instanceof ControlError && error.code === "helper") this.#open("settings");
      this.#explain(error instanceof Error ? error.message : String(error));
    });
    // The switch in the tray's menu goes back to what is.
    void work.finally(() => this.#tray?.redraw()).catch(() => {});
  }

  #explain(detail: string): void {
    void this.#options.electron.dialog.showMessageBox({
      type: "warning",
      title: "Sockeye",
      message: this.#say("actionFailed"),
      detail,
    });
  }

  async #facts(): Promise<DesktopFacts> {
    const { electron, platform } = this.#options;
    return {
      platform: platform === "darwin" || platform === "win32" ? platform : "linux",
      version: electron.app.getVersion(),
      packaged: electron.app.isPackaged,
      tray: this.#tray !== undefined,
      loginItem: this.#loginItem.supported,
      safeStorage: await this.#secrets.support(),
      updates: this.#updates.support,
      configFile: this.#paths.config,
    };
  }

  /** @returns the settings as they are now. What the system refuses is thrown, and nothing has changed. */
  #changeSettings(changes: DesktopParams<"settings.write">): DesktopSettings {
    const { shortcut, launchAtLogin } = changes;
    if (shortcut !== undefined) this.#shortcut.use(shortcut);
    if (launchAtLogin !== undefined && launchAtLogin !== this.#loginItem.isOn()) {
      this.#loginItem.set(launchAtLogin);
    }
    this.#settings.change(changes);
    return this.#readSettings();
  }

  /** The system's own list of login items may have been changed behind our back. */
  #readSettings(): DesktopSettings {
    return { ...this.#settings.current, launchAtLogin: this.#loginItem.isOn() };
  }

  #handlers(): DesktopHandlers {
    const { clipboard, dialog, shell } = this.#options.electron;
    const { config } = this.#paths;
    return {
      facts: () => this.#facts(),
      "settings.read": async () => this.#readSettings(),
      "settings.write": async (changes) => this.#changeSettings(changes),
      "file.save": ({ name, text }) => saveText(dialog, name, text),
      "file.open": () => openText(dialog),
      "clipboard.read": async () => ({ text: await clipboard.readText() }),
      "clipboard.write": async ({ text }) => {
        await clipboard.writeText(text);
        return {};
      },
      "engine.restart": async () => {
        this.#engine.restart();
        return {};
      },
      "config.read": async () => ({ path: config, ...(await readConfigText(config)) }),
      "config.write": async ({ text, revision }) => {
        await writeConfigText(config, text, revision);
        return {};
      },
      "config.open": async () => {
        await openFile(shell, config);
        return {};
      },
      "engine.log": async () => ({ text: this.#engine.log }),
      "helper.install": () => this.#installer.install(),
      "helper.remove": () => this.#installer.remove(),
      "update.check": async () => {
        await this.#updates.check();
        return {};
      },
      "update.install": async () => {
        this.#updates.install();
        return {};
      },
      "help.open": async ({ page }) => {
        await this.#openHelp(page);
        return {};
      },
    };
  }
}
