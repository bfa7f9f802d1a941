import { homedir } from "node:os";
import { join } from "node:path";
import { exportUpstreams } from "../import/export.ts";
import { previewAside } from "../import/aside.ts";
import {
  calls,
  streams,
  type CallName,
  type CallParams,
  type CallResult,
  type StreamName,
} from "./contract.ts";
import { Turns } from "../turns.ts";
import { ControlError } from "./control-error.ts";
import { addDemo } from "./demo.ts";
import { editDocument, readDocument, writeDocument } from "./document.ts";
import { FlowRates, flowViewSource } from "./flow-view.ts";
import type { ControlHost } from "./host.ts";
import type { Service, Source } from "./protocol.ts";
import { readLocalNetworks } from "../tun/local-networks.ts";
import { findOverlaps, type Overlap } from "../tun/preflight.ts";
import { writeReport } from "./report.ts";
import {
  flowsSource,
  listFlows,
  logsSource,
  metricsSource,
  promptsSource,
  requestsSource,
  routesSource,
  sharesSource,
  stateSource,
  relayTestSource,
  upstreamTestSource,
} from "./sources.ts";
import { describeRequest, describeShares, windowOf } from "./describe-share.ts";
import { keptRequest, switchShare, unknownShare } from "./shares.ts";
import type * as z from "zod";

type Handlers = { [Name in CallName]: (params: CallParams<Name>) => Promise<CallResult<Name>> };

/** The contract, answered by an engine. One service serves every client. */
export function createService(host: ControlHost): Service {
  const handlers = createHandlers(host);
  const rates = new FlowRates(host);
  return {
    call(name, params) {
      if (!isCall(name)) return Promise.reject(unknownName(name));
      return answer(handlers, name, params);
    },
    listen(name, params) {
      if (!isStream(name)) throw unknownName(name);
      return openSource(host, rates, name, params);
    },
  };
}

async function answer<Name extends CallName>(
  handlers: Handlers,
  name: Name,
  params: unknown,
): Promise<CallResult<Name>> {
  // The compiler can't follow that calls[name] checks just what handlers[name] takes.
  const checked = check(calls[name].params, name, params) as CallParams<Name>;
  return handlers[name](checked);
}

function createHandlers(host: ControlHost): Handlers {
  // One write at a time: its check of the revision and its rename belong together.
  const writes = new Turns();
  return {
    status: async () => host.status(),
    upstreams: async () => [...host.upstreams()],
    flows: async (filter) => listFlows(host, filter),
    "flows.close": async ({ flows }) => {
      const closed = host.closeFlows(flows);
      if (closed === 0 && flows !== "all" && flows.length === 1) {
        throw new ControlError("unknown-flow", `no flow has the number ${flows[0]}`);
      }
      return { closed };
    },
    explain: async ({ target }) => host.explain(target),
    "config.read": async () => readDocument(host),
    "config.validate": async ({ text }) => {
      const { problems, warnings } = host.checkConfig(text);
      return { problems: [...problems], warnings: [...warnings] };
    },
    "config.write": ({ text, revision }) => writes.run(() => writeDocument(host, text, revision)),
    reload: async () => {
      const { warnings } = await host.reload();
      return { warnings: [...warnings] };
    },
    connect: async () => {
      await host.connect();
      return {};
    },
    disconnect: async () => {
      await host.disconnect();
      return {};
    },
    "config.edit": (params) => writes.run(() => editDocument(host, params)),
    "prompt.answer": async ({ id, answer }) => ({ taken: host.prompts.answer(id, answer ?? undefined) }),
    "secret.support": () => host.secrets.support(),
    "secret.store": (secret) => host.secrets.keep(secret),
    "import.preview": ({ source }) =>
      previewAside(
        source.kind === "text" ? { text: source.text } : { path: join(homedir(), ".ssh", "config") },
        host.config(),
      ),
    export: async ({ upstreams }) => exportUpstreams(host.configText, upstreams),
    "tun.preflight": async (networks) => ({ overlaps: [...overlapsOf(host, networks)] }),
    helper: () => host.helper(),
    "metrics.history": (query) => host.history(query),
    report: async () => ({ text: await writeReport(host) }),
    "demo.add": () => writes.run(() => addDemo(host)),
    shares: async () => describeShares(host.shares),
    "share.start": ({ share }) => writes.run(() => switchShare(host, share, true)),
    "share.stop": ({ share }) => writes.run(() => switchShare(host, share, false)),
    "share.requests": async (window) => {
      if (!host.shares.has(window.share)) throw unknownShare(window.share);
      return windowOf(host.shares.get(window.share)?.ring, window);
    },
    "share.request": async ({ share, request, reveal }) =>
      describeRequest(keptRequest(host, share, request), reveal ?? false),
    "share.replay": async ({ share, request }) => {
      const kept = keptRequest(host, share, request);
      try {
        return { request: host.shares.get(share)!.replay(kept).id };
      } catch (error) {
        throw new ControlError("unavailable", (error as Error).message, { cause: error });
      }
    },
    "share.clear": async ({ share }) => {
      if (!host.shares.has(share)) throw unknownShare(share);
      host.shares.get(share)?.ring.clear();
      return {};
    },
    "log.level": async ({ level }) => {
      host.setLogLevel(level);
      return { level };
    },
  };
}

function overlapsOf(host: ControlHost, networks: CallParams<"tun.preflight">): readonly Overlap[] {
  const { tun } = host.status();
  try {
    return findOverlaps(networks, readLocalNetworks(tun.state === "on" ? tun.device : undefined));
  } catch (error) {
    if (error instanceof SyntaxError) throw new ControlError("bad-request", error.message);
    throw error;
  }
}

function openSource(host: ControlHost, rates: FlowRates, name: StreamName, params: unknown): Source {
  switch (name) {
    case "state":
      check(streams.state.params, name, params);
      return stateSource(host);
    case "flows":
      return flowsSource(host, check(streams.flows.params, name, params));
    case "flows.view":
      return flowViewSource(host, rates, check(streams["flows.view"].params, name, params));
    case "logs":
      return logsSource(host, check(streams.logs.params, name, params));
    case "prompts":
      check(streams.prompts.params, name, params);
      return promptsSource(host);
    case "routes":
      check(streams.routes.params, name, params);
      return routesSource(host);
    case "shares":
      check(streams.shares.params, name, params);
      return sharesSource(host);
    case "share.requests":
      return requestsSource(host, check(streams["share.requests"].params, name, params));
    case "metrics":
      check(streams.metrics.params, name, params);
      return metricsSource(host);
    case "upstream.test":
      return upstreamTestSource(host, check(streams["upstream.test"].params, name, params));
    case "relay.test":
      return relayTestSource(host, check(streams["relay.test"].params, name, params));
  }
}

function isCall(name: string): name is CallName {
  return Object.hasOwn(calls, name);
}

function isStream(name: string): name is StreamName {
  return Object.hasOwn(streams, name);
}

function unknownName(name: string): ControlError {
  return new ControlError("unknown-call", `nothing is called "${name.slice(0, 64)}"`);
}

function check<Schema extends z.ZodType>(schema: Schema, name: string, params: unknown): z.infer<Schema> {
  const parsed = schema.safeParse(params ?? {});
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const where = issue === undefined || issue.path.length === 0 ? "" : ` at ${issue.path.join(".")}`;
  throw new ControlError("bad-request", `"${name}"${where}: ${issue?.message ?? "wrong parameters"}`);
}
