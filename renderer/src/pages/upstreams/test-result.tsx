import { Check, Minus, X } from "lucide-react";
import type { Run, RunStep } from "../../engine/test-steps.ts";
import { useFormat, useText } from "../../i18n/text.ts";
import { Spinner } from "../../ui/spinner.tsx";
import { Notice } from "../../ui/surface.tsx";
import styles from "./test-result.module.css";

/**
 * A test, each step as it happens; then what came of it, and what can be done about it.
 * @param words what is said otherwise than of an upstream.
 */
export function TestResult({ run, words }: { readonly run: Run; readonly words?: Partial<TestText> }) {
  const text = { ...useText().upstreams.test, ...words };
  return (
    <div className={styles["result"]}>
      <ol className={styles["steps"]} aria-label={text.steps}>
        {run.steps.map((step, index) => (
          <Step key={index} step={step} text={text} stopped={run.state === "cancelled"} />
        ))}
        {run.steps.length === 0 && run.state === "running" && (
          <li className={styles["step"]}>
            <Spinner />
            <span>{text.beginning}</span>
          </li>
        )}
      </ol>
      <div role="status" className={styles["outcome"]}>
        <Outcome run={run} text={text} />
      </div>
    </div>
  );
}

interface StepProps {
  readonly step: RunStep;
  readonly text: TestText;
  readonly stopped: boolean;
}

function Step({ step, text, stopped }: StepProps) {
  const format = useFormat();
  const state = step.state === "running" && stopped ? "stopped" : step.state;
  return (
    <li className={styles["step"]} data-state={state}>
      <Mark state={state} />
      <span>{text.step[step.step]}</span>
      <span className="visually-hidden">{text.stepState[state]}</span>
      {step.ms !== undefined && <span className={`${styles["ms"]} figures`}>{format.latency(step.ms)}</span>}
    </li>
  );
}

function Mark({ state }: { readonly state: RunStep["state"] | "stopped" }) {
  switch (state) {
    case "running":
      return <Spinner />;
    case "passed":
      return <Check size={16} aria-hidden="true" />;
    case "failed":
      return <X size={16} aria-hidden="true" />;
    case "stopped":
      return <Minus size={16} aria-hidden="true" />;
  }
}

function Outcome({ run, text }: { readonly run: Run; readonly text: TestText }) {
  const notes = run.notes?.map((note) => <p key={note}>{note}</p>);
  switch (run.state) {
    case "running":
      return null;
    case "cancelled":
      return <p className={styles["quiet"]}>{text.cancelled}</p>;
    case "passed":
      return (
        <div className={styles["good"]}>
          <strong>{conclusion(run, text)}</strong>
          {notes}
        </div>
      );
    case "failed":
      return (
        <Notice kind="bad">
          <strong>{failedAt(run, text)}</strong>
          {run.failure && run.failure.message !== "" && <p>{run.failure.message}</p>}
          {hintFor(run, text) !== undefined && <p className={styles["hint"]}>{hintFor(run, text)}</p>}
          {notes}
        </Notice>
      );
  }
}

type TestText = ReturnType<typeof useText>["upstreams"]["test"];

/** Nothing "works" before it has carried something. */
function conclusion({ steps }: Run, text: TestText): string {
  const came = new Set(steps.map(({ step }) => step));
  if (came.has("dial")) return text.reached;
  if (came.has("auth")) return text.authenticated;
  return came.has("handshake") ? text.answers : text.connected;
}

function failedAt({ steps, failure }: Run, text: TestText): string {
  const step = failure?.step ?? steps.find(({ state }) => state === "failed")?.step;
  return step === undefined ? text.failed : text.failedAt(text.step[step]);
}

function hintFor({ failure, problems }: Run, text: TestText): string | undefined {
  if (!failure || problems) return undefined;
  const hints: Readonly<Record<string, string>> = text.hints;
  return Object.hasOwn(hints, failure.code) ? hints[failure.code] : undefined;
}
