import type { LogRecord, StreamEvent } from "@sockeye/engine/control/contract";

/** Lines that are kept; the oldest go. */
export const MAX_LINES = 5_000;

export type Line = LogRecord | { readonly id: number; readonly dropped: number };

/** The lines with those of one more event. `first`: the connection is new, and the event repeats what is known. */
export function withEvent(
  lines: readonly Line[],
  event: StreamEvent<"logs">,
  first: boolean,
): readonly Line[] {
  const kept = first ? [] : lines;
  const gap: Line[] =
    event.dropped > 0 ? [{ id: (event.records[0]?.id ?? 0) - 0.5, dropped: event.dropped }] : [];
  return [...kept, ...gap, ...event.records].slice(-MAX_LINES);
}

/** Those that have every word of the search, in letters of either case, in their message or in a field. */
export function matching(lines: readonly Line[], search: string): readonly Line[] {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return lines;
  return lines.filter((line) => {
    if ("dropped" in line) return false;
    const text = `${line.level} ${line.message} ${fieldsText(line)}`.toLowerCase();
    return words.every((word) => text.includes(word));
  });
}

/** `upstream=bastion duration_ms=12` */
export function fieldsText({ fields }: LogRecord): string {
  return Object.entries(fields)
    .map(([key, value]) => `${key}=${typeof value === "string" ? value : JSON.stringify(value)}`)
    .join(" ");
}

/** For the clipboard: a line each. */
export function plainText(lines: readonly Line[]): string {
  return lines
    .map((line) =>
      "dropped" in line
        ? `… ${line.dropped} …`
        : `${new Date(line.time).toISOString()} ${line.level.toUpperCase()} ${line.message} ${fieldsText(line)}`.trimEnd(),
    )
    .join("\n");
}
