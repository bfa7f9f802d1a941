import { join } from "node:path";
import * as z from "zod";
import {
  desktopSettings,
  type DesktopParams,
  type DesktopSettings,
} from "@sockeye/renderer/desktop/contract";
import { StateFile } from "./state-file.ts";

const DEFAULTS: DesktopSettings = {
  launchAtLogin: false,
  connectOnLaunch: false,
  closeToTray: true,
  notifications: true,
  shortcut: null,
  updateChannel: "stable",
  theme: "system",
  language: "system",
};

/** What the shell has told once, and does not tell again. */
const hints = z.object({ staysInTray: z.boolean().default(false) });

/** A file of an earlier or a later version lacks keys, or has more. */
const file = z.object({
  settings: desktopSettings.partial().catch({}),
  hints: hints.catch({ staysInTray: false }),
});

/** The shell's settings, in one file below `folder`. */
export class Settings {
  readonly #file: StateFile<typeof file>;
  readonly #listeners = new Set<(settings: DesktopSettings, before: DesktopSettings) => void>();
  #settings: DesktopSettings;
  #hints: z.infer<typeof hints>;

  constructor(folder: string) {
    this.#file = new StateFile(join(folder, "settings.json"), file);
    const saved = this.#file.read();
    this.#settings = { ...DEFAULTS, ...withoutUndefined(saved?.settings ?? {}) };
    this.#hints = saved?.hints ?? { staysInTray: false };
  }

  get current(): DesktopSettings {
    return this.#settings;
  }

  /** Saves what is new, then tells it. @throws the system's error, and nothing has changed. */
  change(changes: DesktopParams<"settings.write">): void {
    const before = this.#settings;
    const next = { ...before, ...withoutUndefined(changes) };
    this.#file.write({ settings: next, hints: this.#hints });
    this.#settings = next;
    for (const listener of this.#listeners) listener(next, before);
  }

  onChange(listener: (settings: DesktopSettings, before: DesktopSettings) => void): void {
    this.#listeners.add(listener);
  }

  /** Whether this user has had the hint. */
  hasTold(hint: keyof z.infer<typeof hints>): boolean {
    return this.#hints[hint];
  }

  /** Until the app ends it counts as told, even where that can't be written. */
  markTold(hint: keyof z.infer<typeof hints>): void {
    this.#hints = { ...this.#hints, [hint]: true };
    try {
      this.#file.write({ settings: this.#settings, hints: this.#hints });
    } catch {
      // A full disk costs the same hint at the next start, nothing else.
    }
  }
}

function withoutUndefined<Value extends object>(
  value: Value,
): {
  [Key in keyof Value]?: Exclude<Value[Key], undefined>;
} {
  return Object.fromEntries(Object.entries(value).filter(([, each]) => each !== undefined)) as {
    [Key in keyof Value]?: Exclude<Value[Key], undefined>;
  };
}
