import type { EngineStatus, StackNumbers, UpstreamInfo } from "@sockeye/engine/control/contract";
import { withEngine } from "./ask.ts";
import type { Register } from "./context.ts";
import { engineOption, jsonOption } from "./options.ts";
import { formatBytes, formatDuration, paint, print, printJson, table } from "./output.ts";

/** `sockeye status` */
export const registerStatus: Register = (program) => {
  program
    .command("status")
    .description("what the running engine does: listeners, upstreams, flows")
    .addOption(engineOption())
    .addOption(jsonOption())
    .addHelpText(
      "after",
      "\nSTREAMS counts what an upstream carries now: flows, and connections of other upstreams. So direct may have some\n" +
        "while no flow is active: they lead to the upstreams.",
    )
    .action(async (options: { engine?: string; json?: boolean }) => {
      const json = options.json === true;
      const [status, upstreams] = await withEngine(options.engine, (client) =>
        Promise.all([client.call("status", {}), client.call("upstreams", {})]),
      );
      if (json) printJson({ ...status, upstreams });
      else print(describeStatus(status, upstreams));
    });
};

function describeStatus(status: EngineStatus, upstreams: readonly UpstreamInfo[]): string {
  const { flows, bytes } = status;
  const lines = [
    `Sockeye ${status.version}, ${status.phase}, process ${status.pid}, up ${formatDuration(Date.now() - status.startedAt)}`,
  ];
  const { connection } = status;
  if (connection.state === "off") lines.push("disconnected: no traffic is taken in");
  if (connection.state === "trouble")
    lines.push(paint(`trouble with ${connection.subject}: ${connection.message}`, "red", process.stdout));
  if (status.configFile !== undefined) lines.push(`configuration ${status.configFile}`);
  for (const problem of status.configProblems ?? []) {
    const place = problem.line === 0 ? "" : `${problem.line}:${problem.column}: `;
    lines.push(paint(`  not reloaded: ${place}${problem.message}`, "red", process.stdout));
  }
  for (const listener of status.listeners) lines.push(`listening ${listener.kind} ${listener.address}`);
  const { tun } = status;
  if (tun.state === "on")
    lines.push(`TUN mode ${tun.device} captures ${tun.networks.join(", ")}`, describeStack(tun.stack));
  if (tun.state === "lost") lines.push(paint(`TUN mode was lost: ${tun.error}`, "red", process.stdout));
  lines.push(
    `flows ${flows.active} active, ${flows.total} in all, ${flows.failed} failed; ` +
      `${formatBytes(bytes.up)} up, ${formatBytes(bytes.down)} down; memory ${formatBytes(status.rssBytes)}`,
    "",
    table(["UPSTREAM", "TYPE", "STATE", "LATENCY", "POOL", "STREAMS", "ADDRESS"], upstreams.map(describeRow)),
  );
  for (const { name, state, lastError } of upstreams) {
    if (state === "failing" && lastError !== undefined) {
      lines.push(paint(`${name}: ${lastError.message} (${lastError.code})`, "red", process.stdout));
    }
  }
  return lines.join("\n");
}

function describeStack(stack: StackNumbers): string {
  const { connections, halfOpen, udpSessions, reassembling, fake } = stack;
  const { segmentsIn, segmentsOut, retransmissions, resetsIn, resetsOut, dropped } = stack;
  const names = fake ? `; fake addresses ${fake.names} of ${fake.capacity}` : "";
  return (
    `  now: TCP ${connections}, half-open ${halfOpen}; UDP ${udpSessions}; reassembling ${reassembling}${names}\n` +
    `  since then: segments ${segmentsIn} in, ${segmentsOut} out; sent again ${retransmissions}; ` +
    `resets ${resetsIn} in, ${resetsOut} out; packets dropped ${dropped}`
  );
}

function describeRow(upstream: UpstreamInfo): string[] {
  const { name, type, state, latencyMs, pool, address, via } = upstream;
  return [
    name,
    type,
    state,
    latencyMs === undefined ? "–" : `${latencyMs < 10 ? latencyMs.toFixed(1) : Math.round(latencyMs)} ms`,
    type === "direct" ? "–" : `${pool.ready}/${pool.size}`,
    String(pool.active),
    via === undefined ? address : `${address} via ${via}`,
  ];
}
