import type { ListenConfig } from "./config/config.ts";
import type { ConfigProblem } from "@sockeye/config-kit/problem";
import type { ConnectionState, EngineStatus } from "./control/contract.ts";
import type { ListenerKind } from "./listeners.ts";
import type { UpstreamStatus } from "./upstream/upstream.ts";

type Trouble = Omit<Extract<ConnectionState, { state: "trouble" }>, "since">;

/** How it goes while traffic is taken in. */
export type Condition = { readonly state: "connecting" } | { readonly state: "connected" } | Trouble;

/** What the condition is judged by. */
export interface Sight {
  readonly tun: EngineStatus["tun"];
  /** What should listen and does not. */
  readonly missing: readonly ListenerKind[];
  readonly listen: ListenConfig;
  /** Those that traffic needs, by name. */
  readonly upstreams: readonly (readonly [name: string, status: UpstreamStatus])[];
  /** Of the last reload, where it was refused. */
  readonly configProblems: readonly ConfigProblem[] | undefined;
  readonly configFile: string | undefined;
}

/** The worst that there is, what concerns all traffic first. */
export function judge(sight: Sight): Condition {
  return (
    tunTrouble(sight) ??
    listenerTrouble(sight) ??
    upstreamTrouble(sight) ??
    configTrouble(sight) ??
    calm(sight)
  );
}

function tunTrouble({ tun }: Sight): Trouble | undefined {
  if (tun.state !== "lost") return undefined;
  return { state: "trouble", cause: "tun", subject: "TUN mode", message: tun.error };
}

function listenerTrouble({ missing, listen }: Sight): Trouble | undefined {
  const [kind] = missing;
  if (kind === undefined) return undefined;
  const subject = `${kind} ${listen[kind]?.address ?? ""}`.trim();
  return { state: "trouble", cause: "listener", subject, message: `the ${kind} listener is gone` };
}

function upstreamTrouble({ upstreams }: Sight): Trouble | undefined {
  const failing = upstreams.find(([, status]) => isFailing(status));
  if (!failing) return undefined;
  const [subject, { lastError }] = failing;
  const message = lastError?.message ?? `${subject} does not answer`;
  return { state: "trouble", cause: "upstream", subject, message };
}

/** One that is tried again after a failure is failing until it has succeeded. */
function isFailing({ state, lastError }: UpstreamStatus): boolean {
  return state === "failing" || (state === "connecting" && lastError !== undefined);
}

function configTrouble({ configProblems, configFile }: Sight): Trouble | undefined {
  const [problem] = configProblems ?? [];
  if (!problem) return undefined;
  const place = problem.line === 0 ? "" : ` (line ${problem.line})`;
  return {
    state: "trouble",
    cause: "config",
    subject: configFile ?? "the configuration",
    message: `${problem.message}${place}`,
  };
}

/** Upstreams connect when they are first needed, so one that is idle is no reason to wait. */
function calm({ upstreams }: Sight): Condition {
  const states = upstreams.map(([, { state }]) => state);
  const waiting = states.includes("connecting") && !states.includes("connected");
  return { state: waiting ? "connecting" : "connected" };
}
