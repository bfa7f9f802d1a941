import type { en } from "../en/index.ts";

export const common: typeof en.common = {
  close: "Schließen",
  cancel: "Abbrechen",
  save: "Sichern",
  remove: "Entfernen",
  undo: "Rückgängig",
  retry: "Noch einmal",
  copy: "Kopieren",
  copied: "Kopiert",
  optional: "freiwillig",
  more: "Mehr",
  none: "keine",
  loading: "Lädt…",
  working: "In Arbeit…",
  direct: "Direkt",
  block: "Sperren",
  up: "Hinauf",
  down: "Herunter",
};
