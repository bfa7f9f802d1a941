import type { MenuItemConstructorOptions } from "electron/main";
import type { Say } from "./texts.ts";

export interface MenuActions {
  openSettings(): void;
  openHelp(page: "docs" | "issues"): void;
  quit(): void;
}

/**
 * The application's menu. macOS shows it, and takes the shortcuts of copying and pasting from it; elsewhere it is hidden and
 * only its shortcuts count. There is no item that reloads or inspects the page.
 */
export function applicationMenu(
  platform: NodeJS.Platform,
  actions: MenuActions,
  say: Say,
): MenuItemConstructorOptions[] {
  const settings: MenuItemConstructorOptions = {
    label: say("settings"),
    accelerator: "CommandOrControl+,",
    click: () => actions.openSettings(),
  };
  const quit: MenuItemConstructorOptions = {
    label: say("quit"),
    accelerator: "CommandOrControl+Q",
    click: () => actions.quit(),
  };
  const first: MenuItemConstructorOptions =
    platform === "darwin"
      ? {
          label: "Sockeye",
          submenu: [
            { role: "about" },
            { type: "separator" },
            settings,
            { type: "separator" },
            { role: "services" },
            { type: "separator" },
            { role: "hide" },
            { role: "hideOthers" },
            { role: "unhide" },
            { type: "separator" },
            quit,
          ],
        }
      : { label: "Sockeye", submenu: [settings, { type: "separator" }, quit] };
  return [
    first,
    {
      label: say("edit"),
      submenu: [
        { role: "undo" },
        { role: "redo" },
        { type: "separator" },
        { role: "cut" },
        { role: "copy" },
        { role: "paste" },
        { role: "selectAll" },
      ],
    },
    {
      label: say("view"),
      submenu: [
        { role: "resetZoom" },
        { role: "zoomIn" },
        { role: "zoomOut" },
        { type: "separator" },
        { role: "togglefullscreen" },
      ],
    },
    { label: say("window"), submenu: [{ role: "minimize" }, { role: "close" }] },
    {
      label: say("help"),
      role: "help",
      submenu: [
        { label: say("documentation"), click: () => actions.openHelp("docs") },
        { label: say("reportProblem"), click: () => actions.openHelp("issues") },
      ],
    },
  ];
}
