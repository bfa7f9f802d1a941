import type { BrowserWindowConstructorOptions, Rectangle } from "electron/main";
import { join } from "node:path";
import * as z from "zod";
import { INTERFACE_ORIGIN, INTERFACE_URL } from "./interface-protocol.ts";
import type { ElectronParts, GuardedContents, SessionPart, WindowPart } from "./parts.ts";
import { StateFile } from "./state-file.ts";

const SMALLEST = { width: 760, height: 520 };
const USUAL = { width: 1120, height: 760 };
/** This much of a window's width, and of its height, has to be on a display, or nobody could take hold of it. */
const MIN_VISIBLE = 120;
/** Moving a window tells of each step; the last one is what counts. */
const SAVE_AFTER_MS = 500;

const windowState = z.object({
  bounds: z.object({ x: z.int(), y: z.int(), width: z.int().positive(), height: z.int().positive() }),
  maximized: z.boolean(),
});
type WindowState = z.infer<typeof windowState>;

export interface MainWindowOptions {
  readonly electron: Pick<ElectronParts, "BrowserWindow" | "screen" | "nativeTheme">;
  readonly stateFolder: string;
  readonly preload: string;
  readonly icon: string;
  /** Closing it leaves the app running, out of sight. */
  readonly hidesOnClose: () => boolean;
  readonly onHidden: () => void;
  readonly onShown: () => void;
  /** The page's process died: the window is gone with it. */
  readonly onGone: (reason: string) => void;
}

/** The app's one window. It is made when it is first shown, and kept when it is closed into the tray. */
export class MainWindow {
  readonly #options: MainWindowOptions;
  readonly #state: StateFile<typeof windowState>;
  #window: WindowPart | undefined;
  #saving: NodeJS.Timeout | undefined;
  #leaving = false;

  constructor(options: MainWindowOptions) {
    this.#options = options;
    this.#state = new StateFile(join(options.stateFolder, "window.json"), windowState);
  }

  get contents(): WindowPart["webContents"] | undefined {
    const window = this.#window;
    return window === undefined || window.isDestroyed() ? undefined : window.webContents;
  }

  get isVisible(): boolean {
    const window = this.#window;
    return window !== undefined && !window.isDestroyed() && window.isVisible() && !window.isMinimized();
  }

  /** Brings it to the front, whatever it was doing. */
  show(): void {
    const window = this.#window;
    if (window === undefined || window.isDestroyed()) {
      this.#open();
      return;
    }
    if (window.isMinimized()) window.restore();
    window.show();
    window.focus();
    this.#options.onShown();
  }

  /** From here on closing is closing. */
  leave(): void {
    this.#leaving = true;
    this.#saveNow();
  }

  #open(): void {
    const { electron, preload, icon } = this.#options;
    const saved = this.#state.read();
    const displays = electron.screen.getAllDisplays().map(({ workArea }) => workArea);
    const window = new electron.BrowserWindow(
      windowOptions({
        bounds: placeOn(displays, saved?.bounds),
        preload,
        icon,
        dark: electron.nativeTheme.shouldUseDarkColors,
      }),
    );
    this.#window = window;
    window.on("ready-to-show", () => {
      if (saved?.maximized === true) window.maximize();
      window.show();
      this.#options.onShown();
    });
    for (const event of ["resize", "move", "maximize", "unmaximize"] as const) {
      window.on(event, () => this.#saveSoon());
    }
    window.on("close", (event) => {
      this.#saveNow();
      if (this.#leaving || !this.#options.hidesOnClose()) return;
      event.preventDefault();
      window.hide();
      this.#options.onHidden();
    });
    window.on("closed", () => {
      clearTimeout(this.#saving);
      if (this.#window === window) this.#window = undefined;
    });
    window.webContents.on("render-process-gone", (_event, { reason }) => {
      if (reason === "clean-exit") return;
      window.destroy();
      this.#options.onGone(reason);
    });
    // A page that does not load leaves an empty window: the reason is in its console, and the person can close it.
    window.loadURL(INTERFACE_URL).catch(() => window.show());
  }

  #saveSoon(): void {
    clearTimeout(this.#saving);
    this.#saving = setTimeout(() => this.#saveNow(), SAVE_AFTER_MS);
    this.#saving.unref();
  }

  #saveNow(): void {
    clearTimeout(this.#saving);
    const window = this.#window;
    if (window === undefined || window.isDestroyed()) return;
    const state: WindowState = { bounds: window.getNormalBounds(), maximized: window.isMaximized() };
    try {
      this.#state.write(state);
    } catch {
      // A full disk costs the window's place, nothing else.
    }
  }
}

/** A sandboxed page without Node, whatever Electron's defaults are. */
function windowOptions(of: {
  readonly bounds: Partial<Rectangle> & { readonly width: number; readonly height: number };
  readonly preload: string;
  readonly icon: string;
  readonly dark: boolean;
}): BrowserWindowConstructorOptions {
  return {
    ...of.bounds,
    minWidth: SMALLEST.width,
    minHeight: SMALLEST.height,
    title: "Sockeye",
    icon: of.icon,
    show: false,
    // The page's own ground, so that nothing flashes before its first paint.
    backgroundColor: of.dark ? "#0e1213" : "#f6f7f7",
    autoHideMenuBar: true,
    webPreferences: {
      preload: of.preload,
      contextIsolation: true,
      sandbox: true,
      nodeIntegration: false,
      nodeIntegrationInWorker: false,
      nodeIntegrationInSubFrames: false,
      webSecurity: true,
      allowRunningInsecureContent: false,
      experimentalFeatures: false,
      webviewTag: false,
      navigateOnDragDrop: false,
      spellcheck: false,
    },
  };
}

/**
 * Where a window goes: to where it was, where enough of that is on a display that still exists, and made to fit that display;
 * otherwise to the system's choice, in the usual size.
 */
export function placeOn(
  displays: readonly Rectangle[],
  wanted: Rectangle | undefined,
): Partial<Rectangle> & { width: number; height: number } {
  const first = displays[0];
  if (wanted !== undefined) {
    for (const display of displays) {
      if (overlapOf(display, wanted) < MIN_VISIBLE) continue;
      const width = Math.min(Math.max(wanted.width, SMALLEST.width), display.width);
      const height = Math.min(Math.max(wanted.height, SMALLEST.height), display.height);
      return {
        x: clamp(wanted.x, display.x, display.x + display.width - width),
        y: clamp(wanted.y, display.y, display.y + display.height - height),
        width,
        height,
      };
    }
  }
  return {
    width: Math.min(USUAL.width, first?.width ?? USUAL.width),
    height: Math.min(USUAL.height, first?.height ?? USUAL.height),
  };
}

/** The smaller side of what they have in common; 0 or less for nothing. */
function overlapOf(a: Rectangle, b: Rectangle): number {
  return Math.min(
    Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x),
    Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y),
  );
}

function clamp(value: number, low: number, high: number): number {
  return Math.min(Math.max(value, low), Math.max(low, high));
}

/** No page of ours needs any of the things that pages may ask for. */
export function denyPermissions(session: SessionPart): void {
  session.setPermissionRequestHandler((_contents, _permission, answer) => answer(false));
  session.setPermissionCheckHandler(() => false);
  session.setDevicePermissionHandler(() => false);
  session.on("will-download", (event) => event.preventDefault());
}

/** Nothing leads a page away from the interface, opens another or embeds one. */
export function confinePages(contents: GuardedContents): void {
  for (const event of ["will-navigate", "will-redirect", "will-frame-navigate"] as const) {
    contents.on(event, (navigation) => {
      if (!isInterface(navigation.url)) navigation.preventDefault();
    });
  }
  contents.on("will-attach-webview", (event) => event.preventDefault());
  contents.setWindowOpenHandler(() => ({ action: "deny" }));
}

function isInterface(url: string): boolean {
  // Reloading is navigation too. The origin of a scheme of our own is "null" to URL, so its parts are compared.
  if (!URL.canParse(url)) return false;
  const { protocol, host } = new URL(url);
  return `${protocol}//${host}` === INTERFACE_ORIGIN;
}
