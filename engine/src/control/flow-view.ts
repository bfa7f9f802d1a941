import type { FlowInfo, FlowRow, FlowSort, StreamEvent, StreamParams } from "./contract.ts";
import type { ControlHost } from "./host.ts";
import type { Source } from "./protocol.ts";

/**
 * A table of flows as one client looks at it: filtered and sorted here, and only the rows in its window sent. So ten
 * thousand flows that all change cost a client as much as the forty that it shows.
 */

const VIEW_INTERVAL_MS = 500;

interface Seen {
  readonly up: number;
  readonly down: number;
  readonly rateUp: number;
  readonly rateDown: number;
}

/** The rates of all flows, from two looks. Shared by every view, so that a window that moves has them at once. */
export class FlowRates {
  readonly #host: ControlHost;
  #seen = new Map<number, Seen>();
  #at = 0;

  constructor(host: ControlHost) {
    this.#host = host;
  }

  /** Looks again where the last look is old enough for a difference to mean something. */
  refresh(now: number): void {
    const seconds = (now - this.#at) / 1000;
    if (seconds < 0.9 * (VIEW_INTERVAL_MS / 1000)) return;
    const seen = new Map<number, Seen>();
    // What was seen long ago says nothing of the present: the flow counts from now.
    const known = seconds < 10;
    // Half of what is new and half of what was: traffic comes in gusts, and nobody reads a figure that trembles.
    const rate = (bytes: number, last: number) => Math.floor((bytes / seconds + last) / 2);
    for (const { id, up, down } of this.#host.flows()) {
      const before = known ? this.#seen.get(id) : undefined;
      seen.set(id, {
        up,
        down,
        rateUp: before ? rate(up - before.up, before.rateUp) : 0,
        rateDown: before ? rate(down - before.down, before.rateDown) : 0,
      });
    }
    this.#seen = seen;
    this.#at = now;
  }

  /** Bytes a second over the last looks, from the application and to it. */
  of(id: number): { readonly rateUp: number; readonly rateDown: number } {
    return this.#seen.get(id) ?? { rateUp: 0, rateDown: 0 };
  }
}

export function flowViewSource(
  host: ControlHost,
  rates: FlowRates,
  params: StreamParams<"flows.view">,
): Source {
  let sent = "";
  return {
    intervalMs: VIEW_INTERVAL_MS,
    pull() {
      rates.refresh(performance.now());
      const event = viewOf(host, rates, params);
      const text = JSON.stringify(event);
      if (text === sent) return {};
      sent = text;
      return { event };
    },
    close() {},
  };
}

function viewOf(
  host: ControlHost,
  rates: FlowRates,
  params: StreamParams<"flows.view">,
): StreamEvent<"flows.view"> {
  const { upstream, text = "", ended = false, sort, offset, limit } = params;
  const wanted = text.toLowerCase();
  const matching: FlowRow[] = [];
  const take = (flow: FlowInfo) => {
    if (upstream !== undefined && flow.upstream !== upstream) return;
    if (wanted !== "" && !mentions(flow, wanted)) return;
    const { rateUp, rateDown } = rates.of(flow.id);
    matching.push(Object.assign(flow, { rateUp, rateDown }));
  };
  for (const flow of host.flows()) take(flow);
  if (ended) for (const flow of host.endedFlows()) take(flow);
  matching.sort(comparing(sort));
  const first = Math.min(offset, Math.max(0, matching.length - limit));
  return { rows: matching.slice(first, first + limit), offset: first, total: matching.length };
}

function mentions(flow: FlowInfo, text: string): boolean {
  const { target, source, upstream, process } = flow;
  return [target, source, upstream, process?.name ?? ""].some((one) => one.toLowerCase().includes(text));
}

/** Equal ones by their age, newest first, so that rows do not dance. */
function comparing({ by, descending }: FlowSort): (a: FlowRow, b: FlowRow) => number {
  const sign = descending ? -1 : 1;
  const compare = comparisons[by];
  return (a, b) => sign * compare(a, b) || b.id - a.id;
}

const textual = (read: (flow: FlowRow) => string) => (a: FlowRow, b: FlowRow) => {
  const [left, right] = [read(a), read(b)];
  return left < right ? -1 : left > right ? 1 : 0;
};

const comparisons: Readonly<Record<FlowSort["by"], (a: FlowRow, b: FlowRow) => number>> = {
  // The older, the more age.
  age: (a, b) => b.id - a.id,
  target: textual(({ target }) => target),
  upstream: textual(({ upstream }) => upstream),
  process: textual(({ process }) => process?.name ?? ""),
  rule: (a, b) => (a.rule ?? Infinity) - (b.rule ?? Infinity) || 0,
  up: (a, b) => a.up - b.up,
  down: (a, b) => a.down - b.down,
  rate: (a, b) => a.rateUp + a.rateDown - (b.rateUp + b.rateDown),
};
