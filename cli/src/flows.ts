import { InvalidArgumentError, Option } from "commander";
import type { ControlClient } from "@sockeye/engine/control/client";
import type { FlowFilter, FlowInfo } from "@sockeye/engine/control/contract";
import { withEngine } from "./ask.ts";
import type { Register } from "./context.ts";
import { CommandFailure, ExitCode } from "./exit-codes.ts";
import { engineOption, jsonOption } from "./options.ts";
import { formatBytes, formatDuration, print, printJson, table } from "./output.ts";

interface FlowsOptions {
  readonly engine?: string;
  readonly upstream?: string;
  readonly limit: number;
  readonly ended?: boolean;
  readonly close?: number | "all";
  readonly watch?: boolean;
  readonly json?: boolean;
}

/** `sockeye flows` */
export const registerFlows: Register = (program) => {
  program
    .command("flows")
    .description("the connections that the running engine carries; with --close, ends them")
    .addOption(engineOption())
    .addOption(new Option("--upstream <name>", "only those through this upstream").env("SOCKEYE_UPSTREAM"))
    .addOption(
      new Option("--limit <count>", "the newest this many")
        .default(1000)
        .env("SOCKEYE_LIMIT")
        .argParser(parseLimit),
    )
    .addOption(new Option("--ended", "with those that ended lately, and why").env("SOCKEYE_ENDED"))
    .addOption(
      new Option("--close <flow>", 'end one flow by its number, or "all"')
        .env("SOCKEYE_CLOSE")
        .argParser(parseFlow)
        .conflicts(["watch", "ended", "upstream"]),
    )
    .addOption(new Option("--watch", "go on printing until interrupted").env("SOCKEYE_WATCH"))
    .addOption(jsonOption())
    .action(async (options: FlowsOptions) => {
      const json = options.json === true;
      await withEngine(options.engine, (client) => act(client, options, json));
    });
};

async function act(client: ControlClient, options: FlowsOptions, json: boolean): Promise<void> {
  if (options.close !== undefined) {
    const flows = options.close === "all" ? options.close : [options.close];
    const { closed } = await client.call("flows.close", { flows });
    if (json) printJson({ closed });
    else print(closed === 1 ? "1 flow closed" : `${closed} flows closed`);
    return;
  }
  if (options.upstream !== undefined) await requireUpstream(client, options.upstream);
  const filter: FlowFilter = {
    limit: options.limit,
    ...(options.upstream === undefined ? {} : { upstream: options.upstream }),
    ...(options.ended === undefined ? {} : { ended: options.ended }),
  };
  if (options.watch === true) {
    await watch(client, filter, json);
    return;
  }
  const list = await client.call("flows", filter);
  if (json) printJson(list);
  else print(describeFlows(list.flows, list.total));
}

/** @throws {CommandFailure} failed, where neither the engine nor a flow that it remembers has an upstream of that name. */
async function requireUpstream(client: ControlClient, upstream: string): Promise<void> {
  const [upstreams, { flows }] = await Promise.all([
    client.call("upstreams", {}),
    // An upstream that a reload has removed may still carry flows.
    client.call("flows", { upstream, ended: true, limit: 1 }),
  ]);
  const names = upstreams.map(({ name }) => name);
  if (flows.length > 0 || names.includes(upstream)) return;
  const sentence = `no upstream is called "${upstream}"; the engine has ${names.join(", ")}`;
  throw new CommandFailure(ExitCode.failed, sentence);
}

/** Each change: as JSON one event a line, on a terminal the table anew. Ends when interrupted. */
function watch(client: ControlClient, filter: FlowFilter, json: boolean): Promise<void> {
  const flows = new Map<number, FlowInfo>();
  return new Promise((resolve, reject) => {
    const stop = client.listen("flows", filter, {
      onEvent: (event) => {
        if (json) {
          process.stdout.write(`${JSON.stringify(event)}\n`);
          return;
        }
        for (const flow of event.changed ?? []) flows.set(flow.id, flow);
        for (const id of event.removed ?? []) flows.delete(id);
        const clear = process.stdout.isTTY ? "\x1b[H\x1b[2J" : "";
        print(`${clear}${describeFlows([...flows.values()], event.total)}`);
      },
      onEnd: resolve,
      onError: reject,
    });
    process.once("SIGINT", () => {
      stop();
      resolve();
    });
  });
}

function describeFlows(flows: readonly FlowInfo[], total: number): string {
  if (flows.length === 0) return "no flows";
  const now = Date.now();
  const rows = flows.map((flow) => [
    String(flow.id),
    flow.error === undefined ? flow.state : `${flow.state} (${flow.error.code})`,
    flow.upstream,
    formatDuration((flow.endedAt ?? now) - flow.startedAt),
    formatBytes(flow.up),
    formatBytes(flow.down),
    flow.inbound,
    flow.source,
    flow.target,
  ]);
  const head = ["FLOW", "STATE", "UPSTREAM", "AGE", "UP", "DOWN", "BY", "SOURCE", "TARGET"];
  const more = total > flows.length ? `\n${total - flows.length} older flows are not shown` : "";
  return `${table(head, rows)}${more}`;
}

function parseFlow(text: string): number | "all" {
  if (text === "all") return text;
  if (!/^\d{1,15}$/.test(text))
    throw new InvalidArgumentError(`"${text}" is neither a flow's number nor "all"`);
  return Number(text);
}

function parseLimit(text: string): number {
  const limit = Number(text);
  if (!/^\d+$/.test(text) || limit < 1 || limit > 10_000) {
    throw new InvalidArgumentError(`"${text}" is not a whole number from 1 to 10000`);
  }
  return limit;
}
