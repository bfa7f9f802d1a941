import type { CallResult, ConfigProblem } from "@sockeye/engine/control/contract";
import { useRef } from "react";
import { failureText } from "../../i18n/failure.ts";
import { problemText } from "../../i18n/problem.ts";
import { useText } from "../../i18n/text.ts";
import styles from "./settings.module.css";

export type Findings = CallResult<"config.validate">;

/** The configuration's text with its lines numbered, and what is wrong in it under it: each leads to its place. */
export function ConfigEditor({
  value,
  findings,
  onChange,
}: {
  readonly value: string;
  readonly findings: Findings | undefined;
  readonly onChange: (text: string) => void;
}) {
  const words = useText();
  const text = words.settings;
  const area = useRef<HTMLTextAreaElement>(null);
  const gutter = useRef<HTMLPreElement>(null);
  const { problems = [], warnings = [] } = findings ?? {};
  const wrong = new Set(problems.map(({ line }) => line));
  const lines = value.split("\n").length;
  const show = ({ line, column }: ConfigProblem) => {
    const element = area.current;
    if (!element || line === 0) return;
    const before = value.split("\n").slice(0, line - 1);
    const at = before.reduce((sum, one) => sum + one.length + 1, 0) + Math.max(0, column - 1);
    element.focus();
    element.setSelectionRange(at, at);
    element.scrollTop = (line - 4) * (element.scrollHeight / lines);
  };
  return (
    <>
      <div className={styles["editor"]}>
        <pre ref={gutter} className={styles["lines"]} aria-hidden="true">
          {Array.from({ length: lines }, (_, index) => (
            <span key={index} className={wrong.has(index + 1) ? styles["wrong"] : undefined}>
              {index + 1}
              {"\n"}
            </span>
          ))}
        </pre>
        <textarea
          ref={area}
          className={styles["text"]}
          aria-label={text.fileText}
          aria-invalid={problems.length > 0 || undefined}
          spellCheck={false}
          wrap="off"
          value={value}
          onChange={({ target }) => onChange(target.value)}
          onScroll={({ currentTarget }) => {
            if (gutter.current) gutter.current.scrollTop = currentTarget.scrollTop;
          }}
        />
      </div>
      {problems.length + warnings.length > 0 && (
        <ul className={styles["problems"]}>
          {[...problems, ...warnings].map((problem, index) => (
            <li key={index}>
              <button
                type="button"
                className={
                  index < problems.length ? styles["problem"] : `${styles["problem"]} ${styles["warning"]}`
                }
                onClick={() => show(problem)}
              >
                {problem.line > 0 && <small>{text.fileAt(problem.line, problem.column)}</small>}
                {index < problems.length
                  ? problemText(words, problem)
                  : failureText(words, { code: "config-warning", message: problem.message })}
                {problem.hint !== undefined && <small>{problem.hint}</small>}
              </button>
            </li>
          ))}
        </ul>
      )}
    </>
  );
}
