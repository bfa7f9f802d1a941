import { Check } from "lucide-react";
import { type ReactNode, useState } from "react";
import { useEngine } from "../../engine/engine.ts";
import { useText } from "../../i18n/text.ts";
import { Button } from "../../ui/button.tsx";
import { Page } from "../../ui/surface.tsx";
import { AddStep } from "./add-step.tsx";
import { ConnectStep } from "./connect-step.tsx";
import styles from "./first-run.module.css";
import { leaveFirstRun } from "./place.ts";
import { TestStep } from "./test-step.tsx";

/** From an empty configuration to a connection in three steps; each can be left out. */
export function FirstRun() {
  const text = useText().firstRun;
  const upstreams = useEngine((state) => state.upstreams);
  const names = upstreams.flatMap(({ name, type }) => (type === "direct" ? [] : [name]));
  const [added, setAdded] = useState<string>();
  const [tested, setTested] = useState<"passed" | "skipped">();
  const subject = added !== undefined && names.includes(added) ? added : names[0];
  const current = subject === undefined ? 1 : tested === undefined ? 2 : 3;
  const chooseAnother = (name: string) => {
    setAdded(name);
    setTested(undefined);
  };
  return (
    <Page
      title={text.title}
      subtitle={text.subtitle}
      layout="reading"
      actions={
        <Button kind="quiet" onClick={leaveFirstRun}>
          {text.leave}
        </Button>
      }
    >
      <ol className={styles["steps"]}>
        <Step number={1} current={current} title={text.upstream.title}>
          <AddStep names={names} onAdded={chooseAnother} />
        </Step>
        <Step number={2} current={current} title={text.test.title}>
          {current === 2 && subject !== undefined && (
            <TestStep
              key={subject}
              names={names}
              subject={subject}
              onChoose={chooseAnother}
              onDone={setTested}
            />
          )}
          {current === 3 && subject !== undefined && (
            <p className={styles["quiet"]}>
              {tested === "passed" ? text.test.passed(subject) : text.test.skipped}
            </p>
          )}
        </Step>
        <Step number={3} current={current} title={text.connect.title}>
          {current === 3 && subject !== undefined && <ConnectStep names={names} subject={subject} />}
        </Step>
      </ol>
    </Page>
  );
}

function Step({
  number,
  current,
  title,
  children,
}: {
  readonly number: number;
  readonly current: number;
  readonly title: string;
  readonly children: ReactNode;
}) {
  const text = useText().firstRun;
  const state = number < current ? "done" : number === current ? "current" : "later";
  return (
    <li className={styles["step"]} data-state={state} aria-current={state === "current" ? "step" : undefined}>
      <span className={styles["number"]} aria-hidden="true">
        {state === "done" ? <Check size={15} strokeWidth={2.5} /> : number}
      </span>
      <div className={styles["content"]}>
        <h2>
          <span className="visually-hidden">
            {text.stepOf(number)}
            {state === "done" ? `, ${text.done}` : ""}:{" "}
          </span>
          {title}
        </h2>
        {children}
      </div>
    </li>
  );
}
