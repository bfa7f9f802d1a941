import type { en } from "../en/index.ts";

export const prompts: typeof en.prompts = {
  behind: (count) => (count === 1 ? "1 weitere Frage wartet" : `${count} weitere Fragen warten`),
  tooLate: "Auf diese Antwort wartet niemand mehr.",
  decline: "Nicht antworten",
  notKept: "Sie gilt für diese Verbindung und wird nicht aufbewahrt.",
  hostKey: {
    title: "Vertrauen Sie diesem Rechner?",
    lead: (upstream) => `${upstream} verbindet sich mit einem Rechner, der noch nie gesehen wurde.`,
    host: "Rechner",
    type: "Schlüssel",
    fingerprint: "Fingerabdruck",
    about:
      "Vergleichen Sie den Fingerabdruck mit dem, den der Betreiber des Rechners nennt. Weicht er ab, hört vielleicht jemand dazwischen mit. Ist ihm einmal vertraut, wird der Schlüssel gemerkt und eine Änderung abgelehnt.",
    yes: "Vertrauen und merken",
    no: "Nicht verbinden",
  },
  passphrase: {
    title: "Passphrase",
    lead: (upstream) => `${upstream} meldet sich mit einem verschlossenen privaten Schlüssel an:`,
    label: "Passphrase des Schlüssels",
    again: "Diese Passphrase öffnet den Schlüssel nicht.",
    submit: "Aufschließen",
  },
  password: {
    title: "Passwort",
    lead: (upstream, user, host) => `${upstream} meldet sich als ${user} bei ${host} an.`,
    label: "Passwort",
    again: "Der Server hat dieses Passwort nicht angenommen.",
    submit: "Anmelden",
  },
  interactive: {
    title: "Der Server stellt eine Frage",
    lead: (upstream) => `${upstream} kann sich anmelden, sobald sie beantwortet ist.`,
    says: "Der Server schreibt:",
    label: "Ihre Antwort",
    submit: "Antworten",
  },
};
