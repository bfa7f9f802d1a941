import { scrub } from "@sockeye/engine/observe/redact";

/** Colours are for terminals, and for people who have not set NO_COLOR (no-color.org). */
function hasColours(stream: NodeJS.WriteStream): boolean {
  return stream.isTTY && !process.env["NO_COLOR"] && process.env["TERM"] !== "dumb";
}

const codes = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33 } as const;

export function paint(text: string, colour: keyof typeof codes, stream: NodeJS.WriteStream): string {
  return hasColours(stream) ? `\x1b[${codes[colour]}m${text}\x1b[0m` : text;
}

export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

export function printJson(value: unknown): void {
  print(JSON.stringify(value, undefined, process.stdout.isTTY ? 2 : undefined));
}

/** `sockeye flows | head`: whoever read has read enough. */
export function quietOnClosedPipe(exitCode: () => number): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EPIPE") process.exit(exitCode());
    });
  }
}

/** One line on standard error; what a peer chose can't move the cursor in it. */
export function complain(sentence: string): void {
  complainAs("sockeye", sentence);
}

export function complainAs(program: "sockeye" | "showoff", sentence: string): void {
  process.stderr.write(`${program}: ${scrub(sentence).replaceAll("\n", " ")}\n`);
}

/** Columns as wide as their widest cell, the last as it is. Names that a peer chose are made harmless. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [head, ...rows.map((row) => row.map((cell) => scrub(cell).replaceAll(/[\n\t]/g, " ")))];
  const widths = head.map((_, column) => Math.max(...all.map((row) => (row[column] ?? "").length)));
  return all
    .map((row) =>
      row
        .map((cell, column) => (column === head.length - 1 ? cell : cell.padEnd(widths[column]!)))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/** 1536 as "1.5 KB": powers of 1,000, as disks and networks count. */
export function formatBytes(bytes: number): string {
  const units = ["B", "KB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** 93784000 as "1 d 2 h": the two largest parts. */
export function formatDuration(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const parts = [
    [Math.floor(seconds / 86_400), "d"],
    [Math.floor(seconds / 3_600) % 24, "h"],
    [Math.floor(seconds / 60) % 60, "min"],
    [seconds % 60, "s"],
  ] as const;
  const first = parts.findIndex(([count]) => count > 0);
  if (first === -1) return "0 s";
  return parts
    .slice(first, first + 2)
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count} ${unit}`)
    .join(" ");
}
