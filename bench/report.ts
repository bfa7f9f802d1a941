import type { Table } from "./bench.ts";

export interface Report {
  readonly machine: readonly string[];
  readonly settings: string;
  readonly tables: readonly Table[];
  /** What could not be measured, and why. */
  readonly missing: readonly string[];
}

/** A table in columns, for a terminal. */
export function asText(table: Table): string {
  const lines = [table.columns, ...table.rows];
  const widths = table.columns.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)));
  const numeric = table.columns.map((_, column) =>
    table.rows.every((row) => /^[\d.–×-]+$/.test(row[column]!)),
  );
  const text = lines.map((line) =>
    line
      .map((cell, column) =>
        numeric[column] ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!),
      )
      .join("  ")
      .trimEnd(),
  );
  return [table.title, ...text, ""].join("\n");
}

/** The whole of a run, as bench/RESULTS.md. */
export function asMarkdown(report: Report): string {
  return [
    "# Results of the benchmarks",
    "",
    "Written by `npm run bench`. All figures are of one run on one machine, with everything on loopback, or, of tun, in",
    "two network namespaces; load, target and proxies share its cores. Contenders take turns, each figure is the median of its rounds, and ratios are of medians.",
    "",
    ...body(report),
  ].join("\n");
}

/** The results with one part, from its heading to the next of its kind, written anew, or added at the end. */
export function withPart(results: string, part: string, report: Report): string {
  const heading = `# ${part}`;
  const about = `Of a run of its own, \`npm run bench -- ${part.toLowerCase()}\`, which writes this part.`;
  const text = [heading, "", about, "", ...body(report)].join("\n");
  const lines = results.trimEnd().split("\n");
  const start = lines.indexOf(heading);
  if (start === -1) return `${lines.join("\n")}\n\n${text}`;
  const next = lines.findIndex((line, at) => at > start && line.startsWith("# "));
  const before = lines.slice(0, start).map((line) => `${line}\n`);
  const after = next === -1 ? [] : ["\n", lines.slice(next).join("\n"), "\n"];
  return [...before, text, ...after].join("");
}

function body(report: Report): string[] {
  return [
    ...report.machine.map((line) => `- ${line}`),
    `- ${report.settings}`,
    ...(report.missing.length === 0
      ? []
      : ["", "Not measured:", "", ...report.missing.map((line) => `- ${line}`)]),
    ...report.tables.flatMap((table) => [
      "",
      `## ${table.title}`,
      "",
      ...table.notes.flatMap((note) => [note, ""]),
      ...[table.columns, table.columns.map(() => "---"), ...table.rows].map(
        (row) => `| ${row.join(" | ")} |`,
      ),
    ]),
    "",
  ];
}
