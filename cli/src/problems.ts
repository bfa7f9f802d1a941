import type { ConfigProblem } from "@sockeye/engine/config/load";
import { scrub } from "@sockeye/engine/observe/redact";
import { paint } from "./output.ts";

/**
 * `file:line:col: message` for each problem, as compilers write it. On a terminal the source line follows, with a caret.
 * @param text the file's text, for the source lines.
 */
export function describeProblems(
  file: string,
  text: string,
  problems: readonly ConfigProblem[],
  stream: NodeJS.WriteStream,
): string {
  const lines = text.split(/\r?\n/);
  return problems
    .map((problem) => {
      const place = problem.line === 0 ? file : `${file}:${problem.line}:${problem.column}`;
      const hint = problem.hint === undefined ? "" : ` (${problem.hint})`;
      const sentence = `${paint(`${place}:`, "bold", stream)} ${scrub(problem.message)}${hint}`;
      const source = lines[problem.line - 1];
      if (!stream.isTTY || source === undefined) return sentence;
      return `${sentence}\n${excerpt(source, problem.column, stream)}`;
    })
    .join("\n");
}

function excerpt(source: string, column: number, stream: NodeJS.WriteStream): string {
  const width = Math.max(20, (stream.columns || 80) - 4);
  const start = Math.max(0, column - 1 - Math.floor(width / 2));
  const shown = source.slice(start, start + width).replaceAll("\t", " ");
  const caret = " ".repeat(Math.max(0, column - 1 - start));
  return `    ${paint(scrub(shown), "dim", stream)}\n    ${caret}${paint("^", "red", stream)}`;
}
