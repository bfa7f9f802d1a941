import type { ConfigProblem, TestEvent } from "@sockeye/engine/control/contract";
import type { ControlError } from "@sockeye/engine/control/control-error";

type DoneEvent = Extract<TestEvent, { kind: "done" }>;
export type StepName = Extract<TestEvent, { kind: "started" }>["step"];

export interface RunStep {
  readonly step: StepName;
  readonly state: "running" | "passed" | "failed";
  readonly ms?: number;
}

/** A test of an upstream, as far as it has come. */
export interface Run {
  readonly state: "running" | "passed" | "failed" | "cancelled";
  readonly steps: readonly RunStep[];
  readonly failure?: DoneEvent["failure"];
  readonly notes?: readonly string[];
  /** It was refused before it began: what is to be tested is wrong. */
  readonly problems?: readonly ConfigProblem[];
}

export const started: Run = { state: "running", steps: [] };

export function advance(run: Run, event: TestEvent): Run {
  if (run.state !== "running") return run;
  if (event.kind === "started") {
    const before = run.steps.map((one): RunStep => (one.state === "running" ? passed(one) : one));
    return { ...run, steps: [...before, { step: event.step, state: "running" }] };
  }
  return { ...run, state: event.ok ? "passed" : "failed", ...outcome(run, event) };
}

function passed({ step }: RunStep): RunStep {
  return { step, state: "passed" };
}

/** The engine's account of the steps counts; one that failed without being told is added. */
function outcome(run: Run, { ok, steps, failure, notes }: DoneEvent): Partial<Run> {
  const told: RunStep[] = steps.map(({ step, ms }) => ({ step, state: "passed", ms }));
  const last = failure?.step ?? (ok ? undefined : run.steps.find(({ state }) => state === "running")?.step);
  return {
    steps: last === undefined ? told : [...told, { step: last, state: "failed" }],
    ...(failure && { failure }),
    ...(notes && notes.length > 0 && { notes }),
  };
}

/** The test could not be made, or its connection ended. */
export function broken(run: Run, { code, message, problems }: ControlError): Run {
  if (run.state !== "running") return run;
  const steps = run.steps.map((one): RunStep =>
    one.state === "running" ? { ...one, state: "failed" } : one,
  );
  return {
    state: "failed",
    steps,
    failure: { code, message },
    ...(problems && { problems }),
  };
}
