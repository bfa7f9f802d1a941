import { useTestRun } from "../../engine/test-run.ts";
import { useText } from "../../i18n/text.ts";
import { Button } from "../../ui/button.tsx";
import { Field, Select } from "../../ui/field.tsx";
import { TestResult } from "../upstreams/test-result.tsx";
import styles from "./first-run.module.css";

export function TestStep({
  names,
  subject,
  onChoose,
  onDone,
}: {
  readonly names: readonly string[];
  readonly subject: string;
  readonly onChoose: (name: string) => void;
  readonly onDone: (how: "passed" | "skipped") => void;
}) {
  const text = useText();
  const words = text.firstRun.test;
  const test = useTestRun();
  const running = test.run?.state === "running";
  const passed = test.run?.state === "passed";
  return (
    <>
      <p className={styles["quiet"]}>{words.why}</p>
      {names.length > 1 && (
        <div className={styles["choice"]}>
          <Field label={words.which}>
            {(control) => (
              <Select {...control} value={subject} onChange={({ target }) => onChoose(target.value)}>
                {names.map((name) => (
                  <option key={name}>{name}</option>
                ))}
              </Select>
            )}
          </Field>
        </div>
      )}
      {test.run && <TestResult run={test.run} />}
      <div className={styles["buttons"]}>
        {passed ? (
          <Button kind="primary" onClick={() => onDone("passed")}>
            {words.next}
          </Button>
        ) : (
          <Button
            kind={running ? "secondary" : "primary"}
            onClick={() => (running ? test.cancel() : test.start({ name: subject }))}
          >
            {running ? text.upstreams.editor.stop : words.run}
          </Button>
        )}
        {!passed && (
          <Button kind="quiet" onClick={() => onDone("skipped")}>
            {words.skip}
          </Button>
        )}
      </div>
    </>
  );
}
