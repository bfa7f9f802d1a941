import type {
  CallName,
  CallParams,
  CallResult,
  EngineStatus,
  PendingPrompt,
  StreamEvent,
  StreamName,
  StreamParams,
  UpstreamInfo,
  UpstreamNumbers,
} from "@sockeye/engine/control/contract";
import { ControlError } from "@sockeye/engine/control/control-error";
import type { CallOptions, Listener } from "@sockeye/engine/control/protocol";
import { useEffect, useState } from "react";
import { create } from "zustand";
import { awaited } from "./pending.ts";
import { type Rate, RATE_SECONDS, RateHistory } from "./rates.ts";
import { type ControlClient, KeyError } from "./transport.ts";

/** How this page stands with the engine. */
export type Link =
  | { readonly state: "connecting" }
  | { readonly state: "open" }
  /** It was there, or should be; it is being tried again. */
  | { readonly state: "lost" }
  | { readonly state: "no-key"; readonly kind: KeyError["kind"] };

export interface EngineState {
  readonly link: Link;
  /** Absent until the first answer; the last known when the link is lost. */
  readonly status: EngineStatus | undefined;
  /** In the order of the configuration; `direct` first. */
  readonly upstreams: readonly UpstreamInfo[];
  readonly prompts: readonly PendingPrompt[];
  readonly numbers: readonly UpstreamNumbers[];
  /** The last five minutes, a value each second. */
  readonly rates: readonly Rate[];
}

export const useEngine = create<EngineState>(() => ({
  link: { state: "connecting" },
  status: undefined,
  upstreams: [],
  prompts: [],
  numbers: [],
  rates: [],
}));

const FIRST_RETRY_MS = 250;
const LAST_RETRY_MS = 5_000;

let client: ControlClient | undefined;
const rates = new RateHistory();

/**
 * Connects, and connects again whenever the connection ends, for as long as the page lives.
 * @param open makes one connection.
 */
export async function follow(open: () => Promise<ControlClient>): Promise<never> {
  for (let retryMs = FIRST_RETRY_MS; ;) {
    try {
      client = await open();
      retryMs = FIRST_RETRY_MS;
      attend(client);
      await client.closed;
    } catch (error) {
      if (error instanceof KeyError) useEngine.setState({ link: { state: "no-key", kind: error.kind } });
    }
    client = undefined;
    if (useEngine.getState().link.state !== "no-key")
      useEngine.setState({ link: { state: "lost" }, prompts: [] });
    await new Promise((resolve) => setTimeout(resolve, retryMs));
    retryMs = Math.min(2 * retryMs, LAST_RETRY_MS);
  }
}

function attend(connected: ControlClient): void {
  let first = true;
  connected.listen(
    "state",
    {},
    {
      onEvent({ status, upstreams = [], removed = [] }) {
        useEngine.setState((state) => {
          const restarted = status !== undefined && status.startedAt !== state.status?.startedAt;
          if (restarted) rates.clear();
          const kept = first ? [] : state.upstreams.filter(({ name }) => !removed.includes(name));
          const changed = new Map(upstreams.map((one) => [one.name, one]));
          const merged = kept.map((one) => changed.get(one.name) ?? one);
          const fresh = upstreams.filter(({ name }) => !kept.some((one) => one.name === name));
          return {
            link: { state: "open" },
            ...(status && { status }),
            upstreams: [...merged, ...fresh],
            ...(restarted && { rates: [], numbers: [] }),
          };
        });
        first = false;
      },
    },
  );
  connected.listen(
    "metrics",
    {},
    {
      onEvent: ({ at, upstreams }) =>
        useEngine.setState({ numbers: upstreams, rates: rates.add(at, upstreams) }),
    },
  );
  void recall(connected);
  connected.listen(
    "prompts",
    {},
    {
      onEvent: ({ pending }) => useEngine.setState({ prompts: pending }),
    },
  );
}

/** Fills the graph with what the engine has kept of the minutes before this page was there. */
async function recall(connected: ControlClient): Promise<void> {
  const to = Date.now();
  const from = to - RATE_SECONDS * 1000;
  try {
    const { stepMs, series } = await connected.call("metrics.history", { from, to, points: RATE_SECONDS });
    const spans = new Map<number, Rate>();
    for (const { at, up, down } of series.flatMap(({ points }) => points)) {
      const known = spans.get(at);
      spans.set(at, { at, up: up + (known?.up ?? 0), down: down + (known?.down ?? 0) });
    }
    const oldestFirst = [...spans.values()].sort((a, b) => a.at - b.at);
    useEngine.setState({ rates: rates.before(oldestFirst, stepMs) });
  } catch {
    // An engine that keeps nothing: the graph begins now.
  }
}

/** Has the upstreams in the configuration's order again, after that has changed. */
export async function refreshUpstreams(): Promise<void> {
  useEngine.setState({ upstreams: await call("upstreams", {}) });
}

/** @throws {ControlError} what the engine says; `closed` while there is none. */
export function call<Name extends CallName>(
  name: Name,
  params: CallParams<Name>,
  options?: CallOptions,
): Promise<CallResult<Name>> {
  return client
    ? awaited(client.call(name, params, options))
    : Promise.reject(new ControlError("closed", "the engine is not there"));
}

/** @returns the way to stop. */
export function listen<Name extends StreamName>(
  name: Name,
  params: StreamParams<Name>,
  listener: Listener<StreamEvent<Name>>,
): () => void {
  if (client) return client.listen(name, params, listener);
  listener.onError?.(new ControlError("closed", "the engine is not there"));
  return () => {};
}

/**
 * Listens for as long as the component is there, and again after each lost connection.
 * @param onEvent called outside rendering; `first` for the first event of a connection, which has everything.
 */
export function useStream<Name extends StreamName>(
  name: Name,
  params: StreamParams<Name>,
  onEvent: (event: StreamEvent<Name>, first: boolean) => void,
): ControlError | undefined {
  const open = useEngine((state) => state.link.state === "open");
  const [error, setError] = useState<ControlError>();
  const key = JSON.stringify(params);
  useEffect(() => {
    if (!open) return undefined;
    let first = true;
    setError(undefined);
    return listen(name, JSON.parse(key) as StreamParams<Name>, {
      onEvent(event) {
        onEvent(event, first);
        first = false;
      },
      onError: (failure) => {
        if (failure.code !== "closed") setError(failure);
      },
    });
    // The parameters are compared by their value, and the listener is the same for the component's life.
  }, [open, name, key]);
  return error;
}
