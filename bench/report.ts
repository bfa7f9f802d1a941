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
  ].join("\n");
}
