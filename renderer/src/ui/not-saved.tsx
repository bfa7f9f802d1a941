import type { ConfigProblem } from "@sockeye/engine/control/contract";
import { failureText } from "../i18n/failure.ts";
import { problemText } from "../i18n/problem.ts";
import { useText } from "../i18n/text.ts";
import { Notice } from "./surface.tsx";

/**
 * Why a form was not saved.
 * @param elsewhere the problems that stand beside none of its fields.
 */
export function NotSaved({
  error,
  elsewhere,
}: {
  readonly error: unknown;
  readonly elsewhere: readonly ConfigProblem[];
}) {
  const text = useText();
  const words = text.common.editing;
  return (
    <Notice kind="bad">
      <strong>{words.notSaved}</strong> {failureText(text, error)}
      {elsewhere.length > 0 && (
        <>
          <p>{words.elsewhere}</p>
          <ul>
            {elsewhere.map((problem, index) => (
              <li key={index}>
                {problemText(text, problem)}
                {problem.hint === undefined ? "" : `; ${problem.hint}`} ({words.line(problem.line)})
              </li>
            ))}
          </ul>
        </>
      )}
    </Notice>
  );
}
