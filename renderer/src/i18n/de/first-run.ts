import type { en } from "../en/index.ts";

export const firstRun: typeof en.firstRun = {
  title: "Willkommen bei Sockeye",
  subtitle: "Drei Schritte, und Ihr Verkehr geht, wohin Sie wollen.",
  leave: "Vorerst überspringen",
  stepOf: (step) => `Schritt ${step} von 3`,
  done: "erledigt",
  upstream: {
    title: "Einen Upstream hinzufügen",
    why: "Ein Server oder Proxy, der Ihren Verkehr befördert. Es dürfen mehrere sein.",
    add: "Hinzufügen",
    addWhy: "Ein SSH-Server, ein SOCKS5-Proxy oder ein HTTP-Proxy",
    import: "Importieren",
    importWhy: "Aus ~/.ssh/config, einem Link, der Zwischenablage oder einer Datei",
    demo: "Mit Demo-Upstreams ausprobieren",
    demoWhy: "Von jeder Art einer, in diesem Programm: nichts verlässt diesen Rechner",
    have: (names) => `Vorhanden: ${names}.`,
    another: "Noch einen hinzufügen",
  },
  test: {
    title: "Prüfen",
    why: "Jeder Schritt wird gezeigt, während er geschieht. Scheitert einer, sehen Sie, welcher und was zu tun ist.",
    which: "Upstream",
    run: "Prüfen",
    skip: "Prüfung überspringen",
    next: "Weiter",
    passed: (name) => `${name} antwortet.`,
    skipped: "Nicht geprüft.",
  },
  connect: {
    title: "Verbinden",
    why: (name) =>
      `Was keine Regel trifft, geht dann über ${name}. Regeln lassen sich später anlegen, unter „Regeln“.`,
    which: "Verkehr senden über",
    ports: "Einen Proxy-Port für die Programme dieses Rechners öffnen",
    portsWhy: (addresses) =>
      `${addresses}, nur für diesen Rechner. Programme, die darauf eingestellt sind, werden befördert.`,
    run: "Verbinden",
    use: "Verwenden",
  },
};
