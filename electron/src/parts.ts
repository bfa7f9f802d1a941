/// <reference types="electron" />
/**
 * What the desktop shell uses of Electron, and no more. Methods are Electron's own types; of its events, which are overloads,
 * those are written out that somebody hears. main.ts hands the real modules over, so that the compiler holds these to
 * electron.d.ts, and tests hand over stubs of the same types.
 */
import type * as common from "electron/common";
import type * as electron from "electron/main";

type Prevent = { preventDefault(): void };

type AppEvents = {
  on(event: "second-instance", listener: (event: Prevent, argv: string[]) => void): unknown;
  on(event: "open-url", listener: (event: Prevent, url: string) => void): unknown;
  on(event: "window-all-closed" | "activate" | "before-quit", listener: () => void): unknown;
  on(event: "will-quit", listener: (event: Prevent) => void): unknown;
  on(event: "web-contents-created", listener: (event: Prevent, contents: GuardedContents) => void): unknown;
};

export type AppPart = Pick<
  electron.App,
  | "enableSandbox"
  | "exit"
  | "getLoginItemSettings"
  | "getPath"
  | "getVersion"
  | "isPackaged"
  | "quit"
  | "requestSingleInstanceLock"
  | "setAppUserModelId"
  | "setAsDefaultProtocolClient"
  | "setLoginItemSettings"
  | "whenReady"
> &
  AppEvents;

/** What is asked of each page that this program ever makes, before it loads anything. */
export type GuardedContents = Pick<electron.WebContents, "setWindowOpenHandler"> & {
  on(
    event: "will-navigate" | "will-redirect" | "will-frame-navigate",
    listener: (event: Prevent & { readonly url: string }) => void,
  ): unknown;
  on(event: "will-attach-webview", listener: (event: Prevent) => void): unknown;
};

export type ContentsPart = Pick<electron.WebContents, "id" | "isDestroyed" | "postMessage"> & {
  on(event: "render-process-gone", listener: (event: Prevent, details: { reason: string }) => void): unknown;
};

export type WindowPart = Pick<
  electron.BrowserWindow,
  | "destroy"
  | "focus"
  | "getNormalBounds"
  | "hide"
  | "isDestroyed"
  | "isMaximized"
  | "isMinimized"
  | "isVisible"
  | "loadURL"
  | "maximize"
  | "restore"
  | "show"
> & {
  readonly webContents: ContentsPart;
  on(event: "close", listener: (event: Prevent) => void): unknown;
  on(
    event: "closed" | "ready-to-show" | "resize" | "move" | "maximize" | "unmaximize",
    listener: () => void,
  ): unknown;
};

export type SessionPart = Pick<
  electron.Session,
  "setPermissionRequestHandler" | "setPermissionCheckHandler" | "setDevicePermissionHandler"
> & {
  on(event: "will-download", listener: (event: Prevent) => void): unknown;
};

export type TrayPart = Pick<electron.Tray, "destroy" | "setContextMenu" | "setImage" | "setToolTip"> & {
  on(event: "click", listener: () => void): unknown;
};

export type NotificationPart = Pick<electron.Notification, "show" | "close"> & {
  on(event: "click" | "close", listener: () => void): unknown;
};

export type ProcessPart = Pick<electron.UtilityProcess, "kill" | "pid" | "postMessage"> & {
  readonly stdout: NodeJS.ReadableStream | null;
  readonly stderr: NodeJS.ReadableStream | null;
  on(event: "message", listener: (message: unknown) => void): unknown;
  on(event: "exit", listener: (code: number) => void): unknown;
};

export type PowerPart = {
  on(event: "suspend" | "resume", listener: () => void): unknown;
};

export type IpcPart = {
  handle(channel: string, listener: (event: IpcEvent, ...args: unknown[]) => Promise<unknown>): void;
};
/** Who sent a message of the page's: the part of an event that says so. */
export type IpcEvent = {
  readonly sender: Pick<electron.WebContents, "id"> & { readonly mainFrame: object };
  readonly senderFrame: (Pick<electron.WebFrameMain, "origin"> & object) | null;
};

export type ProtocolPart = Pick<electron.Protocol, "handle" | "registerSchemesAsPrivileged">;
type ScreenPart = Pick<electron.Screen, "getAllDisplays">;
export type ShortcutPart = Pick<electron.GlobalShortcut, "register" | "unregister">;
export type SafeStoragePart = Pick<
  electron.SafeStorage,
  "decryptStringAsync" | "encryptStringAsync" | "getSelectedStorageBackend" | "isAsyncEncryptionAvailable"
>;
type ClipboardPart = Pick<electron.Clipboard, "readText" | "writeText">;
export type DialogPart = Pick<electron.Dialog, "showMessageBox" | "showOpenDialog" | "showSaveDialog">;
export type ExternalPart = Pick<common.Shell, "openExternal" | "openPath">;
type MenuPart = Pick<typeof electron.Menu, "buildFromTemplate" | "setApplicationMenu">;
type ThemePart = Pick<electron.NativeTheme, "shouldUseDarkColors" | "themeSource"> & {
  on(event: "updated", listener: () => void): unknown;
};
type ImagePart = Pick<typeof common.nativeImage, "createFromPath">;

/** Everything that the coordinator hands on. */
export interface ElectronParts {
  readonly app: AppPart;
  readonly clipboard: ClipboardPart;
  readonly dialog: DialogPart;
  readonly globalShortcut: ShortcutPart;
  readonly ipcMain: IpcPart;
  readonly nativeImage: ImagePart;
  readonly nativeTheme: ThemePart;
  readonly powerMonitor: PowerPart;
  readonly protocol: ProtocolPart;
  readonly safeStorage: SafeStoragePart;
  readonly screen: ScreenPart;
  readonly session: { readonly defaultSession: SessionPart };
  readonly shell: ExternalPart;
  readonly utilityProcess: {
    fork(modulePath: string, args?: string[], options?: electron.ForkOptions): ProcessPart;
  };
  readonly Menu: MenuPart;
  readonly BrowserWindow: new (options: electron.BrowserWindowConstructorOptions) => WindowPart;
  readonly MessageChannelMain: new () => {
    readonly port1: electron.MessagePortMain;
    readonly port2: electron.MessagePortMain;
  };
  readonly Notification: {
    new (options: electron.NotificationConstructorOptions): NotificationPart;
    isSupported(): boolean;
  };
  readonly Tray: new (image: common.NativeImage) => TrayPart;
}
