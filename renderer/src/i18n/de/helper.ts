import type { en } from "../en/index.ts";

export const helper: typeof en.helper = {
  title: "Der Helfer",
  short:
    "Der TUN-Modus erfasst den Verkehr jedes Programms. Das darf für Sockeye nur ein kleines privilegiertes Programm tun: der Helfer.",
  states: {
    running: (version) => `Eingerichtet und in Betrieb, Fassung ${version}`,
    busy: "Eingerichtet, dient gerade einer anderen Engine",
    absent: "Nicht eingerichtet",
    foreign: (version) => `Eine andere Fassung ist eingerichtet: ${version}`,
    unsupported: "Auf diesem System nicht verfügbar",
  },
  setupTitle: "Der TUN-Modus braucht den Helfer",
  updateTitle: "Der Helfer hat eine andere Fassung",
  may: "Was er darf",
  mayList: [
    "Ein Netzgerät öffnen und ihm Adressen geben",
    "Routen und Namensserver für die Netze setzen, die Sie erfassen",
    "All das zurücknehmen, sofort, wenn Sockeye endet, wie auch immer",
  ],
  mayNot: "Was er nie tut",
  mayNotList: [
    "Ihren Verkehr lesen: Pakete behandelt Sockeye, ohne Vorrechte",
    "Ein Programm starten oder eine Datei lesen, die ihm jemand nennt",
    "Auf das Netz oder auf andere Benutzer dieses Rechners hören",
  ],
  remove: "Wie er wieder verschwindet",
  removeText:
    "Entfernen Sie ihn hier in den Einstellungen, bevor Sie Sockeye entfernen. Einer, den ein deb- oder rpm-Paket gebracht hat, geht mit seinem Paket.",
  once: "Ihr System fragt jetzt einmal nach dem Passwort eines Verwalters. Danach nicht mehr.",
  install: "Helfer einrichten",
  update: "Helfer erneuern",
  uninstall: "Helfer entfernen",
  removed: "Der Helfer ist fort, und was er gesetzt hatte, ist zurückgenommen.",
  declined: "Er wurde nicht eingerichtet: Die Frage des Systems wurde abgelehnt.",
  browser: "Im Browser kann Sockeye ihn nicht einrichten. Starten Sie den Dienst im Terminal mit Vorrechten:",
  browserCommand: "sudo sockeye run --ui --config DATEI",
};
