export const logs = {
  title: "Logs",
  subtitle: "What the engine says, the newest at the bottom.",
  search: "Search",
  level: "At least",
  levels: { trace: "Trace", debug: "Debug", info: "Info", warn: "Warnings", error: "Errors" },
  pause: "Pause",
  resume: "Resume",
  paused: (count: number) => (count === 1 ? "Paused; one more since" : `Paused; ${count} more since`),
  copy: "Copy",
  copied: (count: number) => (count === 1 ? "One line copied" : `${count} lines copied`),
  report: "Problem report…",
  engineLevel: (level: string) => `The engine writes from “${level}” on.`,
  engineSilent: "The engine writes nothing.",
  raise: (level: string) => `Let it write “${level}” too`,
  dropped: (count: number) =>
    count === 1
      ? "One line was left out here: it came faster than this page reads."
      : `${count} lines were left out here: they came faster than this page reads.`,
  toEnd: (count: number) => (count === 1 ? "One new line" : `${count} new lines`),
  empty: "Nothing has been said yet",
  emptyText: "At this level the engine has been silent.",
  nothingMatches: "No line has that",
  nothingMatchesText: "Only what is loaded here is searched.",
  details: "Line",
  reportTitle: "Problem report",
  reportText:
    "This is the whole report. Passwords, keys, names of hosts and of users are taken out. Read it before you give it to anybody; nothing is sent.",
  reportName: "sockeye-report.txt",
  save: "Save as a file",
};
