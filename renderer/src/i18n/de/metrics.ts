import type { en } from "../en/index.ts";

export const metrics: typeof en.metrics = {
  title: "Messwerte",
  subtitle: "Jeder Upstream, jetzt und im Lauf der Zeit.",
  range: "Zeitspanne",
  ranges: { hour: "1 h", quarter: "6 h", day: "24 h", week: "7 d" },
  now: "Seit dem Start des Dienstes",
  columns: {
    upstream: "Upstream",
    active: "Offen",
    connections: "Verbindungen",
    dial: "Aufbau im Mittel",
    errors: "Fehler",
    reconnects: "Wieder verbunden",
    down: "Herunter",
    up: "Hinauf",
  },
  show: (upstream) => `${upstream} im Lauf der Zeit zeigen`,
  traffic: "Verkehr",
  latency: "Dauer des Aufbaus",
  errors: "Misslungene Verbindungen",
  reconnects: "Neuverbindungen",
  connections: "Neue Verbindungen",
  chart: (what, upstream) => `${what} von ${upstream} im Lauf der Zeit`,
  perSpan: (span) => `je ${span}`,
  notKept: "Es wird kein Verlauf aufgezeichnet",
  notKeptText:
    "Dieser Dienst hebt keine Werte über die Zeit auf oder konnte ihre Datei nicht öffnen; das Protokoll sagt, was davon. Oben stehen die Werte seit seinem Start.",
  noHistory: "Noch ist nichts aufgehoben",
  noHistoryText: "Eine Minute nach dem ersten Verkehr erscheinen hier Zahlen; sie überdauern Neustarts.",
};
