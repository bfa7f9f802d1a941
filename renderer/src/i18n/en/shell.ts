export const shell = {
  navigation: "Pages",
  pages: {
    home: "Home",
    upstreams: "Upstreams",
    routes: "Routes",
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
    noToken: "This page needs the address that the engine printed, with its key at the end.",
    refused:
      "The engine did not take this page’s key. It was probably restarted: open the address that it prints now.",
    restarting: (attempt: number, reason: string) =>
      `It stopped (${reason}) and is being started again, attempt ${attempt}.`,
    failed: "It stopped several times in a row, so it was not started again.",
    restart: "Start it again",
    log: "Its last words",
  },
};
