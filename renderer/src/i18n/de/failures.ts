import type { en } from "../en/index.ts";

/** Der Satz des Dienstes ist englisch und steht als Einzelheit dahinter. */
export const failures: typeof en.failures = {
  of: {
    refused: "Unter der Adresse nimmt niemand an",
    unreachable: "Das Netz oder der Rechner ist nicht zu erreichen",
    timeout: "Keine Antwort in der Zeit, die dafür ist",
    dns: "Der Name lässt sich nicht auflösen",
    tls: "Die Verschlüsselung mit dem Proxy kam nicht zustande",
    auth: "Die Anmeldung wurde nicht angenommen",
    "host-key": "Der Schlüssel des Servers ist nicht der erwartete",
    protocol: "Die Gegenseite antwortet anders als erwartet",
    forbidden: "Der Upstream verbietet dieses Ziel",
    blocked: "Eine Regel sperrt dieses Ziel",
    limit: "Eine Grenze ist erreicht",
    closed: "Die Verbindung wurde beendet",
    unsupported: "Der Upstream kann das nicht",
    cancelled: "Abgebrochen",
    internal: "Ein Fehler in Sockeye",
    "bad-request": "Der Dienst versteht die Anfrage nicht",
    "unknown-call": "Der Dienst kennt diese Anfrage nicht",
    "unknown-upstream": "Diesen Upstream gibt es nicht mehr",
    "unknown-share": "Diese Freigabe gibt es nicht mehr",
    "unknown-flow": "Diese Verbindung ist schon beendet",
    "invalid-config": "So ist die Konfiguration nicht richtig",
    conflict: "Die Datei wurde inzwischen geändert",
    "no-config-file": "Der Dienst läuft ohne Konfigurationsdatei",
    unavailable: "Das geht gerade nicht",
    helper: "Der Helfer für den TUN-Modus fehlt oder lehnt ab",
    "no-secret-store": "Dieser Rechner hat keinen Schlüsselbund, den wir benutzen können",
    // What stands in the way of traffic, by its kind.
    upstream: "Der Upstream antwortet nicht",
    tun: "Der TUN-Modus ist ausgefallen",
    listener: "Eine Adresse für Programme ist ausgefallen",
    config: "Die geänderte Konfiguration wurde abgelehnt",
  },
  with: (summary, detail) => `${summary} (${detail})`,
};
