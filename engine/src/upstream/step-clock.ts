import { abortReason, DialError, type DialStep } from "../errors.ts";
import type { DialOptions } from "./dialer.ts";
import type { TestOptions, UpstreamTestResult } from "./upstream.ts";

/**
 * Runs one test of an upstream and times its steps as they are told.
 * @param connect makes the connection and ends it again; it tells its steps through the options it is given, and what a
 * person should know through `note`.
 */
export async function runTest(
  options: TestOptions,
  connect: (options: DialOptions, note: (text: string) => void) => Promise<void>,
): Promise<UpstreamTestResult> {
  const notes: string[] = [];
  const steps: { step: DialStep; ms: number }[] = [];
  let current: DialStep | undefined;
  let began = performance.now();
  const finishStep = () => {
    if (current) steps.push({ step: current, ms: performance.now() - began });
    began = performance.now();
  };
  const onStep = (step: DialStep) => {
    finishStep();
    current = step;
    options.onStep?.(step);
  };
  try {
    if (options.signal.aborted) throw abortReason(options.signal);
    await connect({ signal: options.signal, onStep }, (text) => notes.push(text));
    finishStep();
    return { ok: true, steps, ...(notes.length > 0 && { notes }) };
  } catch (error) {
    const failed =
      error instanceof DialError ? error : new DialError("internal", String(error), { cause: error });
    const failure = { step: failed.step ?? current, code: failed.code, message: failed.message };
    return { ok: false, steps, failure, ...(notes.length > 0 && { notes }) };
  }
}
