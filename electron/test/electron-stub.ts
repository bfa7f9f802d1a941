/**
 * Electron as the shell's modules see it, without Electron: what is told to it is remembered, and what it would tell is said by
 * a test. Each part has the type that parts.ts takes from electron.d.ts, so that a stub that Electron would not fit fails to
 * compile.
 */
import { EventEmitter } from "node:events";
import { PassThrough } from "node:stream";
import type {
  BrowserWindowConstructorOptions,
  Display,
  ForkOptions,
  Menu,
  MenuItemConstructorOptions,
  MessageBoxOptions,
  MessagePortMain,
  NotificationConstructorOptions,
  Rectangle,
} from "electron/main";
import type { NativeImage } from "electron/common";
import type {
  AppPart,
  ContentsPart,
  ElectronParts,
  IpcEvent,
  NotificationPart,
  ProcessPart,
  SafeStoragePart,
  SessionPart,
  TrayPart,
  WindowPart,
} from "../src/parts.ts";

/** A thing of Electron's that is too large to be made here, and is only passed on: whatever type is expected of it. */
function opaque(value: object): never {
  return value as never;
}

class StubEvent {
  isPrevented = false;
  preventDefault(): void {
    this.isPrevented = true;
  }
}

export class StubApp extends EventEmitter implements AppPart {
  readonly calls: string[] = [];
  readonly folder: string;
  isPackaged = false;
  openAtLogin = false;
  /** macOS: the session started it. */
  wasOpenedAtLogin: boolean | undefined;
  /** Windows: false where the entry is switched off in the Task Manager. */
  willLaunch = true;
  /** Whether the system takes a change of the login item. */
  takesLoginItem = true;
  loginItem: object = {};

  constructor(folder: string) {
    super();
    this.folder = folder;
  }

  enableSandbox(): void {
    this.calls.push("enableSandbox");
  }
  exit(code?: number): void {
    this.calls.push(`exit ${code ?? 0}`);
  }
  quit(): void {
    this.calls.push("quit");
    this.emit("before-quit");
    const event = new StubEvent();
    this.emit("will-quit", event);
    if (!event.isPrevented) this.calls.push("gone");
  }
  getPath(): string {
    return this.folder;
  }
  getVersion(): string {
    return "1.2.3";
  }
  requestSingleInstanceLock(): boolean {
    return true;
  }
  setAppUserModelId(): void {
    this.calls.push("setAppUserModelId");
  }
  setAsDefaultProtocolClient(scheme: string): boolean {
    this.calls.push(`protocol client ${scheme}`);
    return true;
  }
  getLoginItemSettings(): ReturnType<AppPart["getLoginItemSettings"]> {
    return opaque({
      openAtLogin: this.openAtLogin,
      wasOpenedAtLogin: this.wasOpenedAtLogin,
      executableWillLaunchAtLogin: this.willLaunch,
    });
  }
  setLoginItemSettings(settings: Parameters<AppPart["setLoginItemSettings"]>[0]): void {
    this.loginItem = settings;
    if (this.takesLoginItem) this.openAtLogin = settings.openAtLogin ?? false;
  }
  async whenReady(): Promise<void> {}
}

export class StubContents extends EventEmitter implements ContentsPart {
  readonly id: number;
  readonly sent: { readonly channel: string; readonly message: unknown; readonly ports: number }[] = [];
  readonly mainFrame = { origin: "sockeye-app://interface" };
  isGone = false;

  constructor(id: number) {
    super();
    this.id = id;
  }

  isDestroyed(): boolean {
    return this.isGone;
  }
  postMessage(channel: string, message: unknown, ports: MessagePortMain[] = []): void {
    this.sent.push({ channel, message, ports: ports.length });
  }
  /** A message's sender, as ipcMain has it. */
  event(frame: IpcEvent["senderFrame"] = this.mainFrame): IpcEvent {
    return { sender: { id: this.id, mainFrame: this.mainFrame }, senderFrame: frame };
  }
}

export class StubWindow extends EventEmitter implements WindowPart {
  static made: StubWindow[] = [];
  readonly options: BrowserWindowConstructorOptions;
  readonly webContents: StubContents;
  readonly calls: string[] = [];
  bounds: Rectangle;
  maximized = false;
  minimized = false;
  visible = false;
  url = "";

  constructor(options: BrowserWindowConstructorOptions) {
    super();
    this.options = options;
    const { x = 10, y = 10, width = 800, height = 600 } = options;
    this.bounds = { x, y, width, height };
    this.webContents = new StubContents(StubWindow.made.length + 1);
    StubWindow.made.push(this);
  }

  destroy(): void {
    this.webContents.isGone = true;
    this.visible = false;
    this.emit("closed");
  }
  focus(): void {
    this.calls.push("focus");
  }
  getNormalBounds(): Rectangle {
    return this.bounds;
  }
  hide(): void {
    this.visible = false;
  }
  isDestroyed(): boolean {
    return this.webContents.isGone;
  }
  isMaximized(): boolean {
    return this.maximized;
  }
  isMinimized(): boolean {
    return this.minimized;
  }
  isVisible(): boolean {
    return this.visible;
  }
  async loadURL(url: string): Promise<void> {
    this.url = url;
  }
  maximize(): void {
    this.maximized = true;
  }
  restore(): void {
    this.minimized = false;
  }
  show(): void {
    this.visible = true;
  }
  /** The person closes it. @returns whether it is gone. */
  close(): boolean {
    const event = new StubEvent();
    this.emit("close", event);
    if (!event.isPrevented) this.destroy();
    return !event.isPrevented;
  }
}

export class StubSession extends EventEmitter implements SessionPart {
  readonly #answers: boolean[] = [];
  setPermissionRequestHandler(handler: Parameters<SessionPart["setPermissionRequestHandler"]>[0]): void {
    handler?.(opaque({}), "media", (granted) => this.#answers.push(granted), opaque({}));
  }
  setPermissionCheckHandler(handler: Parameters<SessionPart["setPermissionCheckHandler"]>[0]): void {
    this.#answers.push(handler?.(null, "midi", "https://example.com", opaque({})) ?? true);
  }
  setDevicePermissionHandler(handler: Parameters<SessionPart["setDevicePermissionHandler"]>[0]): void {
    this.#answers.push(handler?.(opaque({})) ?? true);
  }
  /** What was said to a request, a check and a device. */
  get answers(): readonly boolean[] {
    return this.#answers;
  }
}

export class StubTray extends EventEmitter implements TrayPart {
  static made: StubTray[] = [];
  readonly images: string[] = [];
  readonly menus: Menu[] = [];
  toolTip = "";

  constructor(image: NativeImage) {
    super();
    this.setImage(image);
    StubTray.made.push(this);
  }
  destroy(): void {
    this.emit("destroyed");
  }
  setContextMenu(menu: Menu | null): void {
    if (menu !== null) this.menus.push(menu);
  }
  setImage(image: NativeImage | string): void {
    this.images.push((image as unknown as { readonly path: string }).path);
  }
  setToolTip(text: string): void {
    this.toolTip = text;
  }
  /** The menu as it is now. */
  get items(): readonly MenuItemConstructorOptions[] {
    return templateOf(this.menus.at(-1)!);
  }
  /** Chooses an item as the person would. */
  choose(label: string | RegExp): void {
    const item = this.items.find(({ label: each = "" }) =>
      typeof label === "string" ? each === label : label.test(each),
    );
    if (item?.enabled === false || item?.click === undefined) throw new Error(`can't choose ${label}`);
    item.click(opaque({}), undefined, opaque({}));
  }
}

const templates = new WeakMap<Menu, MenuItemConstructorOptions[]>();

function templateOf(menu: Menu): MenuItemConstructorOptions[] {
  return templates.get(menu) ?? [];
}

export class StubNotification extends EventEmitter implements NotificationPart {
  static made: StubNotification[] = [];
  static supported = true;
  readonly title: string;
  readonly body: string;
  shown = false;

  static isSupported(): boolean {
    return StubNotification.supported;
  }
  constructor(options: NotificationConstructorOptions) {
    super();
    this.title = options.title ?? "";
    this.body = options.body ?? "";
    StubNotification.made.push(this);
  }
  show(): void {
    this.shown = true;
  }
  close(): void {
    this.shown = false;
    this.emit("close");
  }
}

/** A child process that does what the test says. */
export class StubProcess extends EventEmitter implements ProcessPart {
  readonly pid: number | undefined = 4_242;
  readonly stdout = new PassThrough();
  readonly stderr = new PassThrough();
  readonly messages: unknown[] = [];
  readonly ports: MessagePortMain[] = [];
  /** What kill() does. A process that is too busy takes no signal. */
  takesKill = true;
  killed = 0;

  postMessage(message: unknown, ports: MessagePortMain[] = []): void {
    this.messages.push(message);
    this.ports.push(...ports);
    this.emit("told", message);
  }
  kill(): boolean {
    this.killed += 1;
    if (this.takesKill) queueMicrotask(() => this.emit("exit", 143));
    return true;
  }
  say(message: unknown): void {
    this.emit("message", message);
  }
}

/** Two ends of a channel that hand each other copies, as Electron's do. */
class StubPort extends EventEmitter {
  peer: StubPort | undefined;
  #started = false;
  #waiting: unknown[] = [];

  postMessage(message: unknown): void {
    this.peer?.take(structuredClone(message));
  }
  start(): void {
    this.#started = true;
    for (const each of this.#waiting.splice(0)) this.#tell(each);
  }
  close(): void {
    const peer = this.peer;
    this.peer = undefined;
    setImmediate(() => peer?.emit("close"));
  }
  take(message: unknown): void {
    if (this.#started) this.#tell(message);
    else this.#waiting.push(message);
  }
  #tell(data: unknown): void {
    setImmediate(() => this.emit("message", { data, ports: [] }));
  }
}

export class StubSafeStorage implements SafeStoragePart {
  /** The key has changed since: what is read is to be sealed anew. */
  rotated = false;
  backend: ReturnType<SafeStoragePart["getSelectedStorageBackend"]> = "gnome_libsecret";
  available = true;
  key = 0x5a;

  async isAsyncEncryptionAvailable(): Promise<boolean> {
    return this.available;
  }
  getSelectedStorageBackend(): ReturnType<SafeStoragePart["getSelectedStorageBackend"]> {
    return this.backend;
  }
  /** Where the key is from, as Chromium writes it before what it sealed: "v11" is a keyring, "v10" the program itself. */
  tag = "v11";

  async encryptStringAsync(text: string): Promise<Buffer> {
    const sealed = Buffer.from(`sealed${text}`).map((byte) => byte ^ this.key);
    return Buffer.concat([Buffer.from(this.tag), sealed]);
  }
  async decryptStringAsync(sealed: Buffer): Promise<{ result: string; shouldReEncrypt: boolean }> {
    const text = Buffer.from(sealed.subarray(3).map((byte) => byte ^ this.key)).toString();
    if (!text.startsWith("sealed")) throw new Error("Error while decrypting the ciphertext");
    return { result: text.slice(6), shouldReEncrypt: this.rotated };
  }
}

export type ElectronStub = ReturnType<typeof createElectron>;

/** A new Electron, whose user's data are in `folder`. */
export function createElectron(folder: string) {
  StubWindow.made = [];
  StubTray.made = [];
  StubNotification.made = [];
  StubNotification.supported = true;
  const app = new StubApp(folder);
  const powerMonitor = new EventEmitter();
  const session = { defaultSession: new StubSession() };
  const safeStorage = new StubSafeStorage();
  const boxes: MessageBoxOptions[] = [];
  const opened: string[] = [];
  const shortcuts = new Map<string, () => void>();
  const taken = new Set<string>();
  const displays: Display[] = [];
  const processes: StubProcess[] = [];
  const forks: { readonly path: string; readonly options: ForkOptions | undefined }[] = [];
  const schemes = new Map<string, (request: Request) => Response | Promise<Response>>();
  const saving = { path: "", open: [] as string[] };
  let menu: MenuItemConstructorOptions[] = [];
  let clipboard = "";
  let receive: ((event: IpcEvent, ...args: unknown[]) => Promise<unknown>) | undefined;

  const buildFromTemplate = (template: Parameters<ElectronParts["Menu"]["buildFromTemplate"]>[0]): Menu => {
    const built = opaque({});
    templates.set(built, template as MenuItemConstructorOptions[]);
    return built;
  };
  const parts: ElectronParts = {
    app,
    session,
    powerMonitor,
    safeStorage,
    clipboard: {
      readText: async () => clipboard,
      writeText: async (text) => void (clipboard = text),
    },
    dialog: {
      showMessageBox: async (...args: [unknown, MessageBoxOptions] | [MessageBoxOptions]) => {
        boxes.push(args.at(-1) as MessageBoxOptions);
        return { response: 0, checkboxChecked: false };
      },
      showOpenDialog: async () => ({ canceled: saving.open.length === 0, filePaths: saving.open }),
      showSaveDialog: async () => ({ canceled: saving.path === "", filePath: saving.path }),
    },
    globalShortcut: {
      register: (accelerator, callback) => {
        if (/^\W|\s/.test(accelerator)) throw new TypeError("conversion failure");
        if (taken.has(accelerator) || shortcuts.has(accelerator)) return false;
        shortcuts.set(accelerator, callback);
        return true;
      },
      unregister: (accelerator) => void shortcuts.delete(accelerator),
    },
    ipcMain: { handle: (_channel, listener) => void (receive = listener) },
    nativeImage: { createFromPath: (path) => opaque({ path }) },
    nativeTheme: Object.assign(new EventEmitter(), {
      shouldUseDarkColors: false,
      themeSource: "system" as const,
    }),
    protocol: {
      handle: (scheme, handler) => void schemes.set(scheme, handler),
      registerSchemesAsPrivileged: () => {},
    },
    screen: { getAllDisplays: () => displays },
    shell: {
      openExternal: async (address) => void opened.push(address),
      openPath: async (path) => {
        opened.push(path);
        return "";
      },
    },
    utilityProcess: {
      fork: (path, _args, options) => {
        const child = new StubProcess();
        forks.push({ path, options });
        processes.push(child);
        return child;
      },
    },
    Menu: {
      buildFromTemplate,
      setApplicationMenu: (next: Menu | null): void => {
        menu = next === null ? [] : templateOf(next);
      },
    },
    BrowserWindow: StubWindow,
    MessageChannelMain: class {
      readonly port1: MessagePortMain;
      readonly port2: MessagePortMain;
      constructor() {
        const [one, two] = [new StubPort(), new StubPort()];
        one.peer = two;
        two.peer = one;
        this.port1 = opaque(one);
        this.port2 = opaque(two);
      }
    },
    Notification: StubNotification,
    Tray: StubTray,
  };
  return {
    parts,
    app,
    session: session.defaultSession,
    powerMonitor,
    safeStorage,
    boxes,
    opened,
    shortcuts,
    /** Shortcuts that other programs have. */
    taken,
    processes,
    forks,
    schemes,
    saving,
    /** The work areas of the displays that there are. */
    setDisplays: (...areas: Rectangle[]) => {
      displays.splice(0, Infinity, ...areas.map((workArea) => opaque({ workArea })));
    },
    applicationMenu: () => menu,
    /** Asks as a page does. */
    ask: (event: IpcEvent, message: unknown) => receive!(event, message),
  };
}
