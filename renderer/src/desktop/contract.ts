/**
 * What the interface may ask of the desktop shell, and hear from it. Everything about traffic goes through the control
 * contract instead; in a browser there is no shell. Schemas first: the main process checks what comes, and the interface
 * gets types. Nothing here may need Node or Electron.
 */
import { configProblem, MAX_CONFIG_CHARACTERS } from "@sockeye/engine/control/contract";
import * as z from "zod";
import { pages } from "../shell/page-names.ts";

/** A new value is told to everybody: the tray shows it too. Kept beside the window's state, not in the configuration file. */
export const desktopSettings = z.strictObject({
  launchAtLogin: z.boolean(),
  connectOnLaunch: z.boolean(),
  /** Closing the window leaves the app in the tray, where there is one. */
  closeToTray: z.boolean(),
  notifications: z.boolean(),
  /** As Electron writes it, `CommandOrControl+Shift+K`; null for none. */
  shortcut: z.string().max(64).nullable(),
  updateChannel: z.enum(["stable", "beta", "off"]),
  theme: z.enum(["system", "light", "dark"]),
  language: z.enum(["system", "en", "de"]),
});
export type DesktopSettings = z.infer<typeof desktopSettings>;

/** What this machine has of what the shell could use. */
export const desktopFacts = z.strictObject({
  platform: z.enum(["linux", "darwin", "win32"]),
  version: z.string(),
  packaged: z.boolean(),
  tray: z.boolean(),
  loginItem: z.boolean(),
  /** False where the system has nothing to encrypt with, and why. */
  safeStorage: z.union([z.literal(true), z.strictObject({ reason: z.string() })]),
  /** False where this build can't update itself, and why. */
  updates: z.union([z.literal(true), z.strictObject({ reason: z.string() })]),
  configFile: z.string(),
});
export type DesktopFacts = z.infer<typeof desktopFacts>;

/** The engine's process, as its supervisor sees it. */
export const engineProcess = z.discriminatedUnion("state", [
  z.strictObject({ state: z.literal("starting") }),
  z.strictObject({ state: z.literal("running") }),
  /** It ended, or did not answer its heartbeat; it is started again. */
  z.strictObject({ state: z.literal("restarting"), attempt: z.int(), reason: z.string(), at: z.number() }),
  /** It ended too often, or can't start. Only `engine.restart` starts it again. */
  z.strictObject({
    state: z.literal("failed"),
    reason: z.string(),
    log: z.string(),
    /** Of the configuration, where that is what keeps it from starting. */
    problems: z.array(configProblem).optional(),
  }),
]);
export type EngineProcess = z.infer<typeof engineProcess>;

export const updateState = z.discriminatedUnion("state", [
  z.strictObject({ state: z.literal("idle"), checkedAt: z.number().optional() }),
  z.strictObject({ state: z.literal("checking") }),
  z.strictObject({ state: z.literal("downloading"), version: z.string(), percent: z.number() }),
  z.strictObject({ state: z.literal("ready"), version: z.string() }),
  z.strictObject({ state: z.literal("failed"), message: z.string() }),
]);
export type UpdateState = z.infer<typeof updateState>;

const nothing = z.strictObject({});
const done = z.strictObject({});
/** Refused by the person, or it failed, and why. */
const outcome = z.union([
  z.strictObject({ ok: z.literal(true) }),
  z.strictObject({ ok: z.literal(false), declined: z.boolean(), message: z.string() }),
]);
export type Outcome = z.infer<typeof outcome>;

/** The longest text that is saved, opened or copied through the shell. */
export const MAX_SHELL_TEXT = 4 * 1024 * 1024;
const text = z.string().max(MAX_SHELL_TEXT);

export const desktopCalls = {
  facts: { params: nothing, result: desktopFacts },
  "settings.read": { params: nothing, result: desktopSettings },
  /** @returns the settings as they are now: one that the system refused is as it was. */
  "settings.write": { params: desktopSettings.partial(), result: desktopSettings },
  /** Asks the person where. `false`: they chose nowhere. */
  "file.save": {
    params: z.strictObject({ name: z.string().min(1).max(128), text }),
    result: z.strictObject({ saved: z.boolean() }),
  },
  /** Asks the person which. Null: none. */
  "file.open": {
    params: nothing,
    result: z.strictObject({ name: z.string(), text }).nullable(),
  },
  "clipboard.read": { params: nothing, result: z.strictObject({ text }) },
  "clipboard.write": { params: z.strictObject({ text }), result: done },
  "engine.restart": { params: nothing, result: done },
  /** The configuration's file, for who has to mend it while no engine can read it. An empty revision: it is not there. */
  "config.read": {
    params: nothing,
    result: z.strictObject({ path: z.string(), text, revision: z.string() }),
  },
  /** Puts the text in its place. Whether it is right, the next start of the engine says. Fails where it has changed since. */
  "config.write": {
    params: z.strictObject({ text: z.string().max(MAX_CONFIG_CHARACTERS), revision: z.string().max(128) }),
    result: done,
  },
  /** With the program that the person uses for such files. */
  "config.open": { params: nothing, result: done },
  "engine.log": { params: nothing, result: z.strictObject({ text }) },
  /** One prompt of the system's; then the helper is there, of this version, or it is not and says why. */
  "helper.install": { params: nothing, result: outcome },
  "helper.remove": { params: nothing, result: outcome },
  "update.check": { params: nothing, result: done },
  /** Ends the app and installs what was downloaded. */
  "update.install": { params: nothing, result: done },
  /** One of our own pages, by name: the shell knows the addresses. */
  "help.open": { params: z.strictObject({ page: z.enum(["docs", "issues", "helper"]) }), result: done },
} as const;

export const desktopEvents = {
  engine: engineProcess,
  settings: desktopSettings,
  update: updateState,
  /** A `sockeye://` link was opened. It is shown as an import's preview, and does nothing by itself. */
  link: z.strictObject({ text: z.string().max(65_536) }),
  /** The tray or the menu asks for a page. */
  navigate: z.strictObject({
    page: z.enum(pages),
  }),
} as const;

export type DesktopCalls = typeof desktopCalls;
export type DesktopCallName = keyof DesktopCalls;
export type DesktopParams<Name extends DesktopCallName> = z.infer<DesktopCalls[Name]["params"]>;
export type DesktopResult<Name extends DesktopCallName> = z.infer<DesktopCalls[Name]["result"]>;
export type DesktopEvents = typeof desktopEvents;
export type DesktopEventName = keyof DesktopEvents;
export type DesktopEvent<Name extends DesktopEventName> = z.infer<DesktopEvents[Name]>;

/** What the preload puts on `window`. */
export interface DesktopBridge {
  /** @throws {Error} with a sentence. */
  call<Name extends DesktopCallName>(name: Name, params: DesktopParams<Name>): Promise<DesktopResult<Name>>;
  /**
   * The newest value of `engine`, `settings` and `update` comes at once, then each new one.
   * @returns the way to stop.
   */
  on<Name extends DesktopEventName>(name: Name, listener: (event: DesktopEvent<Name>) => void): () => void;
  /** Asks for a port to the engine. It comes as a `message` event of the window whose data is ENGINE_PORT. */
  requestEnginePort(): void;
}

export { BRIDGE_NAME, ENGINE_PORT } from "./names.ts";
