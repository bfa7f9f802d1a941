/** What the shell itself says: the tray, the menu, notifications and dialogs. Errors come in English, as the engine has them. */

const en = {
  connect: "Connect",
  stateOff: "Off",
  stateConnecting: "Connecting…",
  stateConnected: "Connected",
  stateTrouble: "Trouble",
  stateNoEngine: "The engine is not running",
  upstreams: "Default upstream",
  direct: "Direct",
  block: "Block",
  more: "More in the window…",
  tun: "TUN mode",
  open: "Open Sockeye",
  quit: "Quit Sockeye",
  settings: "Settings…",
  edit: "Edit",
  view: "View",
  window: "Window",
  help: "Help",
  documentation: "Documentation",
  reportProblem: "Report a problem",
  hintTitle: "Sockeye is still running",
  hintBody: "It stays in the tray. To end it, choose Quit there.",
  connectedTitle: "Connected again",
  connectedBody: "Traffic is carried through {name}.",
  troubleTitle: "Sockeye has trouble",
  engineFailed: "The engine ended and could not be started again.",
  actionFailed: "That did not work",
  pageGone: "The window stopped working ({reason}). The engine goes on; open the window again.",
} as const;

type TextKey = keyof typeof en;

const de: Record<TextKey, string> = {
  connect: "Verbinden",
  stateOff: "Aus",
  stateConnecting: "Verbindet …",
  stateConnected: "Verbunden",
  stateTrouble: "Störung",
  stateNoEngine: "Die Engine läuft nicht",
  upstreams: "Standard-Upstream",
  direct: "Direkt",
  block: "Blockieren",
  more: "Weitere im Fenster …",
  tun: "TUN-Modus",
  open: "Sockeye öffnen",
  quit: "Sockeye beenden",
  settings: "Einstellungen …",
  edit: "Bearbeiten",
  view: "Ansicht",
  window: "Fenster",
  help: "Hilfe",
  documentation: "Dokumentation",
  reportProblem: "Problem melden",
  hintTitle: "Sockeye läuft weiter",
  hintBody: "Es bleibt in der Taskleiste. Zum Beenden dort „Sockeye beenden“ wählen.",
  connectedTitle: "Wieder verbunden",
  connectedBody: "Der Verkehr läuft über {name}.",
  troubleTitle: "Sockeye hat eine Störung",
  engineFailed: "Die Engine wurde beendet und ließ sich nicht neu starten.",
  actionFailed: "Das hat nicht geklappt",
  pageGone: "Das Fenster funktioniert nicht mehr ({reason}). Die Engine läuft weiter; öffne das Fenster neu.",
};

export type Language = "en" | "de";
const all: Readonly<Record<Language, Readonly<Record<TextKey, string>>>> = { en, de };

/** Says a text, with `{name}` replaced by what is given for it. */
export type Say = (key: TextKey, values?: Readonly<Record<string, string>>) => string;

export function textsIn(language: Language): Say {
  return (key, values = {}) =>
    all[language][key].replaceAll(/\{(\w+)\}/g, (whole, name: string) => values[name] ?? whole);
}

/** The chosen language, or the first of the system's that there is. */
export function languageOf(chosen: Language | "system", preferred: readonly string[]): Language {
  if (chosen !== "system") return chosen;
  for (const tag of preferred) {
    const language = tag.toLowerCase().split("-")[0];
    if (language === "en" || language === "de") return language;
  }
  return "en";
}
