import type { en } from "../en/index.ts";

export const logs: typeof en.logs = {
  title: "Protokoll",
  subtitle: "Was der Dienst sagt, das Neueste unten.",
  search: "Suchen",
  level: "Mindestens",
  levels: { trace: "Spur", debug: "Einzelheiten", info: "Hinweise", warn: "Warnungen", error: "Fehler" },
  pause: "Anhalten",
  resume: "Weiter",
  paused: (count) =>
    count === 1 ? "Angehalten; eine weitere seither" : `Angehalten; ${count} weitere seither`,
  copy: "Kopieren",
  copied: (count) => (count === 1 ? "Eine Zeile kopiert" : `${count} Zeilen kopiert`),
  report: "Problembericht…",
  engineSilent: "Der Dienst schreibt nichts.",
  engineLevel: (level) => `Der Dienst schreibt ab „${level}“.`,
  raise: (level) => `Auch „${level}“ schreiben lassen`,
  dropped: (count) => `Hier fehlen ${count} Zeilen: Sie kamen schneller, als diese Seite liest.`,
  toEnd: (count) => (count === 1 ? "Eine neue Zeile" : `${count} neue Zeilen`),
  empty: "Noch wurde nichts gesagt",
  emptyText: "Auf dieser Stufe war der Dienst bisher still.",
  nothingMatches: "Keine Zeile enthält das",
  nothingMatchesText: "Durchsucht wird nur, was hier geladen ist.",
  details: "Zeile",
  reportTitle: "Problembericht",
  reportText:
    "Das ist der ganze Bericht. Passwörter, Schlüssel, Namen von Rechnern und Benutzern sind herausgenommen. Lesen Sie ihn, bevor Sie ihn weitergeben; gesendet wird nichts.",
  reportName: "sockeye-bericht.txt",
  save: "Als Datei sichern",
};
