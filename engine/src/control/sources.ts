import type { DialStep } from "../errors.ts";
import { Deadline } from "../upstream/deadline.ts";
import type { TestOptions, UpstreamTestResult } from "../upstream/upstream.ts";
import type {
  EngineStatus,
  FlowFilter,
  FlowInfo,
  LogRecord,
  PendingPrompt,
  StreamEvent,
  StreamParams,
  TestEvent,
  TestParams,
  UpstreamInfo,
} from "./contract.ts";
import type { ControlHost } from "./host.ts";
import { describeShares, windowOf } from "./describe-share.ts";
import type { Source } from "./protocol.ts";

/**
 * The streams of the contract, each as the state of one client: what it has been sent. A look compares that with the
 * engine as it is now. So a client that reads slowly gets fewer, larger steps and always the newest values, and what is
 * kept for it does not grow while it sleeps.
 */

const STATE_INTERVAL_MS = 200;
const FLOWS_INTERVAL_MS = 500;
const LOGS_INTERVAL_MS = 100;
const PROMPTS_INTERVAL_MS = 100;
const ROUTES_INTERVAL_MS = 1_000;
/** An event holds every rule, so that many of them come less often. */
const MS_PER_ROUTE = 0.1;
const METRICS_INTERVAL_MS = 1_000;
const TEST_INTERVAL_MS = 20;
const SHARES_INTERVAL_MS = 300;

export function stateSource(host: ControlHost): Source {
  let sentStatus = "";
  let sentUpstreams = new Map<string, string>();
  return {
    intervalMs: STATE_INTERVAL_MS,
    pull() {
      const status: EngineStatus = host.status();
      const statusText = JSON.stringify(status);
      const upstreams = new Map<string, string>();
      const changed: UpstreamInfo[] = [];
      for (const upstream of host.upstreams()) {
        const text = JSON.stringify(upstream);
        upstreams.set(upstream.name, text);
        if (sentUpstreams.get(upstream.name) !== text) changed.push(upstream);
      }
      const removed = [...sentUpstreams.keys()].filter((name) => !upstreams.has(name));
      const event: StreamEvent<"state"> = {
        ...(statusText === sentStatus ? {} : { status }),
        ...(changed.length === 0 ? {} : { upstreams: changed }),
        ...(removed.length === 0 ? {} : { removed }),
      };
      sentStatus = statusText;
      sentUpstreams = upstreams;
      return Object.keys(event).length === 0 ? {} : { event };
    },
    close() {},
  };
}

/** The newest flows that match, and how many match in all. */
export function listFlows(host: ControlHost, filter: FlowFilter): { flows: FlowInfo[]; total: number } {
  const limit = filter.limit ?? 1_000;
  const flows: FlowInfo[] = [];
  let total = 0;
  const take = (flow: FlowInfo) => {
    if (!matches(flow, filter)) return;
    total++;
    flows.push(flow);
    // Cut now and then, so that many flows cost their walk and no more memory than the answer.
    if (flows.length >= 2 * limit) flows.splice(0, flows.length - limit);
  };
  if (filter.ended === true) for (const flow of host.endedFlows()) take(flow);
  for (const flow of host.flows()) take(flow);
  return { flows: flows.slice(-limit), total };
}

function matches(flow: FlowInfo, filter: FlowFilter): boolean {
  if (filter.upstream !== undefined && flow.upstream !== filter.upstream) return false;
  return filter.text === undefined || flow.target.includes(filter.text) || flow.source.includes(filter.text);
}

export function flowsSource(host: ControlHost, filter: FlowFilter): Source {
  let sent = new Map<number, FlowInfo>();
  let sentTotal = -1;
  return {
    intervalMs: FLOWS_INTERVAL_MS,
    pull() {
      const { flows, total } = listFlows(host, filter);
      const now = new Map<number, FlowInfo>();
      const changed: FlowInfo[] = [];
      for (const flow of flows) {
        now.set(flow.id, flow);
        if (!sameFlow(sent.get(flow.id), flow)) changed.push(flow);
      }
      const removed = [...sent.keys()].filter((id) => !now.has(id));
      const first = sentTotal === -1;
      const quiet = changed.length === 0 && removed.length === 0 && total === sentTotal;
      sent = now;
      sentTotal = total;
      if (quiet) return {};
      const event: StreamEvent<"flows"> = {
        ...(first || changed.length > 0 ? { changed } : {}),
        ...(removed.length > 0 ? { removed } : {}),
        total,
      };
      return { event };
    },
    close() {},
  };
}

/** The fields in which a flow can change while it lives. */
function sameFlow(a: FlowInfo | undefined, b: FlowInfo): boolean {
  if (a === undefined) return false;
  return (
    a.up === b.up &&
    a.down === b.down &&
    a.state === b.state &&
    a.process?.pid === b.process?.pid &&
    a.upstream === b.upstream &&
    a.endedAt === b.endedAt &&
    a.error?.code === b.error?.code
  );
}

/** Records waiting for one client; older ones are dropped for newer, and the client is told how many. */
export const MAX_WAITING_RECORDS = 1_000;
/** Records in one event, so that a long backlog comes in pieces. */
const MAX_RECORDS_PER_EVENT = 250;

export function logsSource(host: ControlHost, params: StreamParams<"logs">): Source {
  const level = params.level ?? "info";
  const wanted = (record: LogRecord) =>
    params.upstream === undefined || record.fields["upstream"] === params.upstream;
  const backlog = params.backlog ?? 500;
  let waiting = backlog === 0 ? [] : host.log.recent(level).filter(wanted).slice(-backlog);
  let dropped = 0;
  let first = true;
  const stop = host.log.subscribe(level, (record) => {
    if (!wanted(record)) return;
    waiting.push(record);
    if (waiting.length >= 2 * MAX_WAITING_RECORDS) {
      dropped += waiting.length - MAX_WAITING_RECORDS;
      waiting = waiting.slice(-MAX_WAITING_RECORDS);
    }
  });
  return {
    intervalMs: LOGS_INTERVAL_MS,
    pull() {
      if (waiting.length === 0 && !first) return {};
      first = false;
      const event: StreamEvent<"logs"> = { records: waiting.slice(0, MAX_RECORDS_PER_EVENT), dropped };
      waiting = waiting.slice(MAX_RECORDS_PER_EVENT);
      dropped = 0;
      return { event };
    },
    close: stop,
  };
}

/** Whoever listens is there to answer. */
export function promptsSource(host: ControlHost): Source {
  const leave = host.prompts.attend();
  let sent: readonly PendingPrompt[] | undefined;
  return {
    intervalMs: PROMPTS_INTERVAL_MS,
    pull() {
      const { pending } = host.prompts;
      if (pending === sent) return {};
      sent = pending;
      const event: StreamEvent<"prompts"> = { pending: [...pending] };
      return { event };
    },
    close: leave,
  };
}

export function routesSource(host: ControlHost): Source {
  let sent: number | undefined;
  return {
    get intervalMs() {
      return Math.max(ROUTES_INTERVAL_MS, host.routeHits.size * MS_PER_ROUTE);
    },
    pull() {
      const { version } = host.routeHits;
      if (version === sent) return {};
      sent = version;
      const event: StreamEvent<"routes"> = host.routeHits.numbers();
      return { event };
    },
    close() {},
  };
}

export function sharesSource(host: ControlHost): Source {
  let sent = "";
  return {
    intervalMs: SHARES_INTERVAL_MS,
    pull() {
      const event: StreamEvent<"shares"> = describeShares(host.shares);
      const text = JSON.stringify(event);
      if (text === sent) return {};
      sent = text;
      return { event };
    },
    close() {},
  };
}

/** The ring of a share may be another after a change of the share, or gone with it. */
export function requestsSource(host: ControlHost, params: StreamParams<"share.requests">): Source {
  let sentRing: unknown;
  let sentVersion = -1;
  return {
    intervalMs: SHARES_INTERVAL_MS,
    pull() {
      const ring = host.shares.get(params.share)?.ring;
      const version = ring?.version ?? 0;
      if (ring === sentRing && version === sentVersion) return {};
      sentRing = ring;
      sentVersion = version;
      const event: StreamEvent<"share.requests"> = windowOf(ring, params);
      return { event };
    },
    close() {},
  };
}

export function metricsSource(host: ControlHost): Source {
  return {
    intervalMs: METRICS_INTERVAL_MS,
    pull() {
      const event: StreamEvent<"metrics"> = { at: Date.now(), upstreams: host.numbers() };
      return { event };
    },
    close() {},
  };
}

const DEFAULT_TEST_TIMEOUT_MS = 30_000;

/** The test of an upstream. */
export function upstreamTestSource(
  host: ControlHost,
  { name, config, target, timeoutMs }: TestParams,
): Source {
  return testSource(timeoutMs, (options) =>
    host.testUpstream({ name, config }, { ...options, ...(target === undefined ? {} : { target }) }),
  );
}

/** The test of a relay. */
export function relayTestSource(
  host: ControlHost,
  { name, config, timeoutMs }: StreamParams<"relay.test">,
): Source {
  return testSource(timeoutMs, (options) => host.testRelay({ name, config }, options));
}

/** A test's steps as they begin, then its outcome. Closing the stream ends the test. */
function testSource(
  timeoutMs: number = DEFAULT_TEST_TIMEOUT_MS,
  run: (options: TestOptions) => Promise<UpstreamTestResult>,
): Source {
  const waiting: TestEvent[] = [];
  let ended = false;
  let failure: unknown;
  const abort = new AbortController();
  const deadline = new Deadline(abort.signal, timeoutMs, () => `no success within ${timeoutMs / 1000} s`);
  const onStep = (step: DialStep) => waiting.push({ kind: "started", step });
  run({ signal: deadline.signal, onStep, onPrompt: deadline.pause })
    .then(
      ({ ok, steps, failure: failed, notes }) => {
        waiting.push({
          kind: "done",
          ok,
          steps: [...steps],
          ...(failed === undefined ? {} : { failure: failed }),
          ...(notes === undefined ? {} : { notes: [...notes] }),
        });
      },
      (error: unknown) => (failure = error),
    )
    .finally(() => {
      ended = true;
      deadline.clear();
    });
  return {
    intervalMs: TEST_INTERVAL_MS,
    pull() {
      const event = waiting.shift();
      if (event !== undefined) return { event };
      if (failure !== undefined) throw failure as Error;
      return { ended };
    },
    close() {
      abort.abort();
      deadline.clear();
    },
  };
}
