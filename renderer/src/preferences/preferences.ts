import { useSyncExternalStore } from "react";
import { create } from "zustand";
import type { DesktopSettings } from "../desktop/contract.ts";
import { shell } from "../desktop/shell.ts";
import type { Language } from "../i18n/language.ts";

/** How the interface looks: kept by the desktop shell, whose tray follows it, and otherwise by the browser. */
export type Preferences = Pick<DesktopSettings, "theme" | "language">;

const KEY = "sockeye.preferences";
const defaults: Preferences = { theme: "system", language: "system" };

export const usePreferences = create<Preferences>(() => ({ ...defaults, ...(shell ? {} : stored()) }));

/** Applies what is kept, and follows what changes elsewhere. Called once, before the first paint. */
export function followPreferences(): void {
  usePreferences.subscribe(apply);
  apply(usePreferences.getState());
  shell?.on("settings", ({ theme, language }) => usePreferences.setState({ theme, language }));
}

export function setPreferences(changes: Partial<Preferences>): void {
  usePreferences.setState(changes);
  const { theme, language } = usePreferences.getState();
  if (shell) void shell.call("settings.write", changes);
  else {
    try {
      localStorage.setItem(KEY, JSON.stringify({ theme, language }));
    } catch {
      // A browser that keeps nothing: it holds until the page is left.
    }
  }
}

function apply({ theme }: Preferences): void {
  const root = document.documentElement;
  if (theme === "system") delete root.dataset["theme"];
  else root.dataset["theme"] = theme;
  root.lang = currentLanguage();
}

function stored(): Partial<Preferences> {
  try {
    const value = JSON.parse(localStorage.getItem(KEY) ?? "{}") as Record<string, unknown>;
    return {
      ...(value["theme"] === "light" || value["theme"] === "dark" ? { theme: value["theme"] } : {}),
      ...(value["language"] === "en" || value["language"] === "de" ? { language: value["language"] } : {}),
    };
  } catch {
    return {};
  }
}

function currentLanguage(): Language {
  const { language } = usePreferences.getState();
  if (language !== "system") return language;
  return navigator.language.toLowerCase().startsWith("de") ? "de" : "en";
}

export function useLanguage(): Language {
  return useSyncExternalStore(usePreferences.subscribe, currentLanguage);
}

const dark = matchMedia("(prefers-color-scheme: dark)");

/** The colours that are on the screen now. For what draws by itself; styles need not ask. */
export function useColours(): "light" | "dark" {
  const theme = usePreferences((preferences) => preferences.theme);
  const system = useSyncExternalStore(
    (changed) => {
      dark.addEventListener("change", changed);
      return () => dark.removeEventListener("change", changed);
    },
    () => dark.matches,
  );
  return theme === "system" ? (system ? "dark" : "light") : theme;
}
