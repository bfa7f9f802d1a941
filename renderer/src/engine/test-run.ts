import type { TestEvent, TestParams } from "@sockeye/engine/control/contract";
import { ControlError } from "@sockeye/engine/control/control-error";
import { useCallback, useEffect, useRef, useState } from "react";
import { listen } from "./engine.ts";
import { advance, broken, type Run, started } from "./test-steps.ts";

/** Longer than a person takes to find a passphrase; the engine's own limit holds for the network. */
const TEST_TIMEOUT_MS = 60_000;

export interface TestRun {
  readonly run: Run | undefined;
  readonly start: (params: TestParams) => void;
  /** Ends a test that is under way; what it has found so far stays. */
  readonly cancel: () => void;
  readonly clear: () => void;
}

/** One test at a time of one upstream or relay, step by step as it happens. It ends with the component. */
export function useTestRun(stream: "upstream.test" | "relay.test" = "upstream.test"): TestRun {
  const [run, setRun] = useState<Run>();
  const stop = useRef<() => void>(undefined);
  useEffect(() => () => stop.current?.(), []);

  const start = useCallback(
    (params: TestParams) => {
      stop.current?.();
      setRun(started);
      let heard = false;
      stop.current = listen(
        stream,
        { timeoutMs: TEST_TIMEOUT_MS, ...params },
        {
          onEvent: (event: TestEvent) => {
            heard ||= event.kind === "done";
            setRun((before) => advance(before ?? started, event));
          },
          onEnd: () => {
            if (!heard) setRun((before) => broken(before ?? started, new ControlError("closed", "")));
          },
          onError: (error) => setRun((before) => broken(before ?? started, error)),
        },
      );
    },
    [stream],
  );

  const cancel = useCallback(() => {
    stop.current?.();
    stop.current = undefined;
    setRun((before) => (before?.state === "running" ? { ...before, state: "cancelled" } : before));
  }, []);

  const clear = useCallback(() => {
    stop.current?.();
    stop.current = undefined;
    setRun(undefined);
  }, []);

  return { run, start, cancel, clear };
}
