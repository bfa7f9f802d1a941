import type { en } from "../en/index.ts";

export const shell: typeof en.shell = {
  navigation: "Seiten",
  pages: {
    home: "Übersicht",
    upstreams: "Upstreams",
    routes: "Regeln",
    share: "Teilen",
    connections: "Verbindungen",
    logs: "Protokoll",
    metrics: "Messwerte",
    settings: "Einstellungen",
  },
  states: {
    off: "Aus",
    connecting: "Verbindet",
    connected: "Verbunden",
    trouble: "Braucht Aufmerksamkeit",
    offline: "Kein Dienst",
  },
  skip: "Zum Inhalt",
  connecting: "Verbindet sich mit dem Dienst…",
  lost: {
    title: "Der Dienst antwortet nicht",
    reconnecting: "Ihr Verkehr läuft vielleicht weiter; dieses Fenster sieht ihn nicht mehr. Neuer Versuch…",
    restarted: (command) => `Falls er neu gestartet wurde, hat er eine neue Adresse: ${command} öffnet sie.`,
    noTokenTitle: "Diese Seite hat keinen Schlüssel",
    noToken: (command) =>
      `Sie braucht die Adresse, die der Dienst ausgegeben hat, mit dem Schlüssel am Ende. ${command} öffnet sie.`,
    refusedTitle: "Der Dienst nimmt den Schlüssel dieser Seite nicht an",
    refused: (command) =>
      `Er wurde wohl neu gestartet und hat einen neuen: ${command} öffnet seine neue Adresse.`,
    restarting: (attempt, reason) =>
      `Er hat aufgehört (${reason}) und wird neu gestartet, Versuch ${attempt}.`,
    failed: "Er hat mehrmals hintereinander aufgehört und wurde deshalb nicht wieder gestartet.",
    restart: "Neu starten",
    log: "Seine letzten Worte",
  },
  repair: {
    title: "Die Konfiguration braucht eine Korrektur",
    why: "Mit dieser Datei startet der Dienst nicht; sie ist, wie sie war.",
    save: "Speichern und starten",
    open: "Datei öffnen",
  },
};
