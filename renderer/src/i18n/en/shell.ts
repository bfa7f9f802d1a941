export const shell = {
  navigation: "Pages",
  pages: {
    home: "Home",
    upstreams: "Upstreams",
    routes: "Routes",
    share: "Share",
    connections: "Connections",
    logs: "Logs",
    metrics: "Metrics",
    settings: "Settings",
  },
  states: {
    off: "Off",
    connecting: "Connecting",
    connected: "Connected",
    trouble: "Needs attention",
    offline: "No engine",
  },
  skip: "Go to the content",
  connecting: "Connecting to the engine…",
  lost: {
    title: "The engine does not answer",
    reconnecting: "Your traffic may still flow; this window has lost sight of it. Trying again…",
    restarted: (command: string) => `If it was started again, it has a new address: ${command} opens it.`,
    noTokenTitle: "This page has no key",
    noToken: (command: string) =>
      `It needs the address that the engine printed, with its key at the end. ${command} opens it.`,
    refusedTitle: "The engine does not take this page’s key",
    refused: (command: string) =>
      `It was probably started again, with a new key: ${command} opens its new address.`,
    restarting: (attempt: number, reason: string) =>
      `It stopped (${reason}) and is being started again, attempt ${attempt}.`,
    failed: "It stopped several times in a row, so it was not started again.",
    restart: "Start it again",
    log: "Its last words",
  },
  repair: {
    title: "The configuration needs a correction",
    why: "The engine does not start with this file, which is as you left it.",
    save: "Save and start",
    open: "Open the file",
  },
};
