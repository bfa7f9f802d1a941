// `npm run bench [-- NAME[/SECTION]…] [--quick] [--json]`: Sockeye beside its peers, in one run on one machine.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { app } from "./app/app.ts";
import type { Bench, Rig, Table } from "./bench.ts";
import { connections } from "./connections.ts";
import { delay } from "./delay.ts";
import { interruption, startTarget } from "./load/load.ts";
import { describeMachine, describeOtherLoad } from "./machine.ts";
import { memory } from "./memory.ts";
import { proxy } from "./proxy.ts";
import { relay } from "./relay/relay.ts";
import { asMarkdown, asText, withPart, type Report } from "./report.ts";
import { ssh } from "./ssh.ts";
import { tun } from "./tun/tun.ts";

const benches: readonly Bench[] = [ssh, proxy, connections, delay, memory, tun, relay, app];
const RESULTS = join(import.meta.dirname, "RESULTS.md");

const USAGE = `npm run bench [-- NAME[/SECTION]…] [--quick] [--json]

${benches.map((bench) => `  ${bench.name.padEnd(12)} ${bench.about}`).join("\n")}

${benches.flatMap((bench) => (bench.sections ? [`${bench.name} has sections: ${bench.sections.map((one) => `${bench.name}/${one}`).join(", ")}`] : [])).join("\n")}

  --quick      one second a measure, once: to see that it works, not to quote
  --json       the results as JSON on standard output

tun measures the other tunnels that it finds on PATH, or first in the folders of SOCKEYE_BENCH_PEERS (separated as in PATH):
hev-socks5-tunnel, sing-box, tun2socks. Its upstream is hev-socks5-server where that is found, else danted, or the one that
SOCKEYE_BENCH_UPSTREAM names. relay measures the other relays that it finds there: frp (frps, frpc), rathole, bore, chisel, and
OpenSSH. \`node bench/peers/install.ts FOLDER\` installs what package registries serve.

A whole run, without --quick, writes bench/RESULTS.md. So does a whole run of relay alone, for its own part.`;

interface Arguments {
  readonly chosen: readonly Bench[];
  /** As NAME/SECTION; of a bench of which none is here, all are meant. */
  readonly sections: ReadonlySet<string>;
  readonly quick: boolean;
  readonly json: boolean;
}

/** What the command line asks for, or the sentence that says what is wrong with it. */
function readArguments(): Arguments | string {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        quick: { type: "boolean" },
        json: { type: "boolean" },
        help: { type: "boolean", short: "h" },
      },
    });
    if (values.help === true) {
      console.log(USAGE);
      process.exit(0);
    }
    const known = benches.flatMap(({ name, sections = [] }) => [
      name,
      ...sections.map((one) => `${name}/${one}`),
    ]);
    const unknown = positionals.filter((asked) => !known.includes(asked));
    if (unknown.length > 0) return `there is no benchmark "${unknown.join('", "')}"`;
    const names = positionals.map((asked) => asked.split("/", 1)[0]!);
    const chosen = benches.filter((bench) => positionals.length === 0 || names.includes(bench.name));
    const sections = new Set(positionals.filter((asked) => asked.includes("/")));
    return { chosen, sections, quick: values.quick ?? false, json: values.json ?? false };
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

async function runBenches({ chosen, sections, quick, json }: Arguments): Promise<Report> {
  const window = quick ? { seconds: 1, warmUp: 0.3 } : { seconds: 2, warmUp: 0.5 };
  const rounds = quick ? 1 : 3;
  const tables: Table[] = [];
  const missing = new Set<string>();
  const otherLoad = describeOtherLoad();
  if (otherLoad !== undefined) console.error(`bench: ${otherLoad}`);
  await using target = await startTarget();
  for (const bench of chosen) {
    const rig: Rig = {
      target,
      window,
      rounds,
      quick,
      wants: (section) =>
        ![...sections].some((one) => one.startsWith(`${bench.name}/`)) ||
        sections.has(`${bench.name}/${section}`),
      progress: (text) => {
        console.error(`${bench.name}: ${text}`);
      },
      missing: (text) => {
        if (!missing.has(text)) console.error(`${bench.name}: NOT MEASURED: ${text}`);
        missing.add(text);
      },
    };
    for (const table of await bench.run(rig)) {
      tables.push(table);
      if (!json) console.log(`\n${asText(table)}`);
    }
  }
  const settings = `${window.seconds} s a measure after ${window.warmUp} s or more of warm-up, ${rounds} rounds`;
  const machine = [...describeMachine(), ...(otherLoad === undefined ? [] : [otherLoad])];
  return { machine, settings, tables, missing: [...missing] };
}

const asked = readArguments();
if (typeof asked === "string") {
  console.error(`bench: ${asked}\n\n${USAGE}`);
  process.exit(2);
}
if (process.platform !== "linux") {
  console.error(
    "bench: it reads processor time and memory from /proc, and its load programs use epoll: Linux only",
  );
  process.exit(2);
}
// The measure that runs is ended, and with it, in order, all that was started; a second signal does not wait.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(signal, () => {
    if (interruption.signal.aborted) process.exit(130);
    interruption.abort();
  });
}

let report: Report;
try {
  report = await runBenches(asked);
} catch (error) {
  const interrupted = interruption.signal.aborted;
  console.error(
    `bench: ${interrupted ? "interrupted" : error instanceof Error ? error.message : String(error)}`,
  );
  process.exit(interrupted ? 130 : 1);
}
if (asked.json) console.log(JSON.stringify(report, undefined, 2));
else for (const line of report.missing) console.log(`NOT MEASURED: ${line}`);
const part = asked.chosen.length === 1 ? asked.chosen[0]!.part : undefined;
if (
  !asked.quick &&
  asked.sections.size === 0 &&
  (asked.chosen.length === benches.length || part !== undefined)
) {
  const results =
    part === undefined ? asMarkdown(report) : withPart(readFileSync(RESULTS, "utf8"), part, report);
  writeFileSync(RESULTS, results);
  console.error(`bench: wrote ${part === undefined ? "" : `the part "${part}" of `}${RESULTS}`);
}
