/* global document, DOMParser, fetch, setInterval */
// Runs in the dashboard's page: every part with an id is replaced when it has changed.
const EVERY_MS = 2000;
const state = document.getElementById("live");
let asking = false;

function tell(kind, text) {
  if (state.dataset.kind === kind) return;
  state.dataset.kind = kind;
  state.textContent = text;
}

async function update() {
  if (asking || document.hidden) return;
  asking = true;
  try {
    const response = await fetch("live", { cache: "no-store" });
    if (response.status === 401 || response.status === 403) return tell("lost", "Reload to sign in again");
    if (!response.ok) return tell("lost", `The relay answers with ${response.status}`);
    const now = new DOMParser().parseFromString(await response.text(), "text/html");
    for (const part of now.querySelectorAll("[data-part]")) {
      const shown = document.getElementById(part.id);
      if (shown !== null && shown.outerHTML !== part.outerHTML) shown.replaceWith(part);
    }
    tell("live", "Live");
  } catch {
    tell("lost", "The relay does not answer");
  } finally {
    asking = false;
  }
}

tell("live", "Live");
setInterval(() => void update(), EVERY_MS);
document.addEventListener("visibilitychange", () => void update());
