import { join } from "node:path";
import type { EngineSnapshot } from "./engine-view.ts";
import type { ElectronParts, TrayPart } from "./parts.ts";
import type { Say } from "./texts.ts";
import { trayLine, trayMenu, trayState, type TrayActions, type TrayState } from "./tray-menu.ts";

/** A menu that only differs in latencies may wait so long: where it is open, a new one closes it. */
const QUIET_MS = 5_000;

export interface TrayIconOptions {
  readonly electron: Pick<ElectronParts, "Tray" | "Menu" | "nativeImage">;
  readonly platform: NodeJS.Platform;
  /** Where the pictures are. */
  readonly folder: string;
  readonly actions: TrayActions;
  readonly say: () => Say;
  readonly isStarting: () => boolean;
}

/** The tray's icon, which changes its picture and menu only where they differ. */
export class TrayIcon {
  readonly #options: TrayIconOptions;
  readonly #tray: TrayPart;
  #shown: { readonly state: TrayState; readonly line: string; readonly menu: string };
  #late: NodeJS.Timeout | undefined;
  #snapshot: EngineSnapshot | undefined;

  constructor(options: TrayIconOptions) {
    this.#options = options;
    const { electron, platform, folder } = options;
    this.#tray = new electron.Tray(
      electron.nativeImage.createFromPath(picture(platform, folder, "connecting")),
    );
    this.#shown = { state: "connecting", line: "", menu: "" };
    // On macOS, and with most Linux trays, a click opens the menu.
    if (platform === "win32") this.#tray.on("click", () => options.actions.open());
    this.update(undefined);
  }

  update(snapshot: EngineSnapshot | undefined): void {
    this.#snapshot = snapshot;
    const { electron, platform, folder, say, isStarting } = this.#options;
    const starting = isStarting();
    const state = trayState(snapshot, starting);
    const line = trayLine(snapshot, starting, say());
    if (state !== this.#shown.state) {
      this.#tray.setImage(electron.nativeImage.createFromPath(picture(platform, folder, state)));
    }
    if (line !== this.#shown.line) this.#tray.setToolTip(`Sockeye: ${line}`);
    const isSame = state === this.#shown.state && line === this.#shown.line;
    this.#shown = { ...this.#shown, state, line };
    this.#updateMenu(isSame);
  }

  /** Draws the menu anew though nothing has changed: the system ticks an item by itself when it is chosen. */
  redraw(): void {
    this.#shown = { ...this.#shown, menu: "" };
    this.#updateMenu(false);
  }

  close(): void {
    clearTimeout(this.#late);
    this.#tray.destroy();
  }

  #updateMenu(mayWait: boolean): void {
    const { electron, actions, say } = this.#options;
    const template = trayMenu(this.#snapshot, this.#shown.line, actions, say());
    const menu = JSON.stringify(template);
    if (menu === this.#shown.menu) return;
    if (mayWait && differOnlyInLatency(menu, this.#shown.menu)) {
      this.#late ??= setTimeout(() => {
        this.#late = undefined;
        this.#updateMenu(false);
      }, QUIET_MS).unref();
      return;
    }
    this.#shown = { ...this.#shown, menu };
    this.#tray.setContextMenu(electron.Menu.buildFromTemplate(template));
  }
}

/** macOS tints a template image itself; elsewhere the picture has a colour that shows on light and dark panels. */
function picture(platform: NodeJS.Platform, folder: string, state: TrayState): string {
  switch (platform) {
    case "darwin":
      return join(folder, `${state}Template.png`);
    case "win32":
      return join(folder, `${state}.ico`);
    default:
      return join(folder, `${state}.png`);
  }
}

function differOnlyInLatency(menu: string, before: string): boolean {
  const without = (text: string) => text.replaceAll(/ {2}· {2}\d+ ms/g, "");
  return without(menu) === without(before);
}
