import { readdirSync, readlinkSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { type AddressWords, parseAddress } from "../router/address.ts";
import type { Flow, FlowProcess } from "./flow.ts";

/** Between two scans; where a scan was long, so many times as long as it was. */
const PAUSE_MS = { least: 1_000, most: 5_000, times: 20 } as const;
/** The event loop is held up no longer than this, but for one program's descriptors. */
const SLICE_MS = 3;
/** Of one scan. What was not reached then is reached by the next. */
const BUDGET_MS = 150;
/** Flows that one scan looks for. */
const MAX_WANTED = 20_000;
/** Lines of a table of sockets that are read in one go. */
const LINES_PER_SLICE = 1_000;

/**
 * Finds the programs that opened flows, by proc(5): the socket of a flow's source is in a table by its address, and a program's
 * descriptors name it. That is looked up only while a client looks at flows, beside the traffic and never on its way. Linux only,
 * and only what this user may see; elsewhere nothing is found.
 */
export class FlowProcesses {
  readonly #flows: Iterable<Flow>;
  #scanning: Promise<void> | undefined;
  #restUntil = 0;
  /** Programs in which something was found; they are looked into first. */
  readonly #known = new Set<number>();
  readonly #missedOnce = new WeakSet<Flow>();
  /** Where the last scan ran out of time. */
  #reached = Number.POSITIVE_INFINITY;
  #closed = false;

  constructor(flows: Iterable<Flow>) {
    this.#flows = flows;
  }

  /** Somebody looks at the flows. What is found stands in them soon after. */
  look(): void {
    if (process.platform !== "linux" || this.#scanning || performance.now() < this.#restUntil) return;
    const wanted: Flow[] = [];
    for (const flow of this.#flows) {
      if (flow.process === undefined && wanted.length < MAX_WANTED) wanted.push(flow);
    }
    if (wanted.length === 0 || this.#closed) return;
    const started = performance.now();
    this.#scanning = this.#scan(wanted)
      // A table that can't be read finds nothing.
      .catch(() => {})
      .finally(() => {
        this.#scanning = undefined;
        const now = performance.now();
        const pauseMs = Math.max(PAUSE_MS.least, Math.min(PAUSE_MS.most, PAUSE_MS.times * (now - started)));
        this.#restUntil = now + pauseMs;
      });
  }

  /** Ends a scan that is under way. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#scanning;
  }

  async #scan(flows: readonly Flow[]): Promise<void> {
    const sockets = await findSockets(flows);
    for (const flow of flows) if (!sockets.flows.has(flow)) this.#missed(flow);
    const complete = await this.#searchPrograms(sockets.byLink);
    if (!complete) return;
    for (const owners of sockets.byLink.values()) for (const flow of owners) this.#missed(flow);
  }

  /** The kernel gives its tables out in pieces, between which a line can slip through: one miss is no proof. */
  #missed(flow: Flow): void {
    if (this.#missedOnce.has(flow)) flow.process = null;
    else this.#missedOnce.add(flow);
  }

  /** @param wanted by the link that a descriptor is; what is found is taken out. @returns false where time ran out. */
  async #searchPrograms(wanted: Map<string, Flow[]>): Promise<boolean> {
    let spent = 0;
    let slice = performance.now();
    for (const pid of this.#order()) {
      if (wanted.size === 0) break;
      if (this.#closed || spent > BUDGET_MS) return false;
      if (!lookInto(pid, wanted)) this.#known.delete(pid);
      else this.#known.add(pid);
      this.#reached = pid;
      const elapsed = performance.now() - slice;
      if (elapsed < SLICE_MS) continue;
      spent += elapsed;
      await nextTurn();
      slice = performance.now();
    }
    this.#reached = Number.POSITIVE_INFINITY;
    return true;
  }

  /** Those that were found before; then the newest, from where the last scan ended; this process last. */
  #order(): number[] {
    const all = entriesOf("/proc")
      .map(Number)
      .filter((pid) => Number.isInteger(pid) && pid !== process.pid && !this.#known.has(pid))
      .sort((a, b) => b - a);
    const known = [...this.#known].filter((pid) => pid !== process.pid);
    const below = all.filter((pid) => pid < this.#reached);
    return [...known, ...below, ...all.filter((pid) => pid >= this.#reached), process.pid];
  }
}

interface Sockets {
  /** By what a descriptor of it links to: `socket:[INODE]`. */
  readonly byLink: Map<string, Flow[]>;
  readonly flows: ReadonlySet<Flow>;
}

async function findSockets(flows: readonly Flow[]): Promise<Sockets> {
  const byLink = new Map<string, Flow[]>();
  const found = new Set<Flow>();
  for (const protocol of ["tcp", "udp"] as const) {
    const own = flows.filter(({ origin }) => origin.protocol === protocol);
    if (own.length === 0) continue;
    for (const table of [protocol, `${protocol}6`] as const) {
      const wanted = Map.groupBy(
        own.flatMap((flow) => keysOf(flow, table.endsWith("6")).map((key) => ({ key, flow }))),
        ({ key }) => key,
      );
      const text = await readFile(`/proc/net/${table}`, "utf8").catch(() => "");
      for (const [count, line] of text.split("\n").entries()) {
        if (count % LINES_PER_SLICE === LINES_PER_SLICE - 1) await nextTurn();
        // SL LOCAL REMOTE STATE QUEUES TIMER RETRANSMITS UID TIMEOUT INODE
        const fields = line.trim().split(/\s+/, 10);
        const link = `socket:[${fields[9]}]`;
        for (const { flow } of wanted.get(fields[1] ?? "") ?? []) {
          byLink.set(link, [...(byLink.get(link) ?? []), flow]);
          found.add(flow);
        }
      }
    }
  }
  return { byLink, flows: found };
}

/** How a table names the source's socket: by its address, as an IPv6 one where need be; for datagrams by none, too. */
function keysOf({ origin }: Flow, ipv6: boolean): readonly string[] {
  const words = parseAddress(origin.source.host);
  if (!words) return [];
  const port = `:${origin.source.port.toString(16).toUpperCase().padStart(4, "0")}`;
  const inTable = ipv6 && words.length === 1 ? [0, 0, 0xffff, ...words] : words;
  const any = origin.protocol === "udp" ? [`${"0".repeat(ipv6 ? 32 : 8)}${port}`] : [];
  if (!ipv6 && words.length !== 1) return [];
  return [`${hexInHostOrder(inTable)}${port}`, ...any];
}

/** The kernel prints each word of an address as a number of the machine, which is little-endian. */
function hexInHostOrder(words: AddressWords): string {
  const bytes = Buffer.alloc(words.length * 4);
  for (const [i, word] of words.entries()) bytes.writeUInt32LE(word, i * 4);
  return bytes.toString("hex").toUpperCase();
}

/** @returns true where one of the sockets was the program's. */
function lookInto(pid: number, wanted: Map<string, Flow[]>): boolean {
  let owner: FlowProcess | undefined;
  for (const descriptor of entriesOf(`/proc/${pid}/fd`)) {
    const link = linkOf(`/proc/${pid}/fd/${descriptor}`);
    const flows = wanted.get(link);
    if (!flows) continue;
    owner ??= { pid, name: nameOf(pid) };
    for (const flow of flows) flow.process = owner;
    wanted.delete(link);
  }
  return owner !== undefined;
}

function nameOf(pid: number): string {
  return basename(linkOf(`/proc/${pid}/exe`).replace(/ \(deleted\)$/, "")) || String(pid);
}

/** Gone meanwhile, or another user's: nothing. */
function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}

function entriesOf(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
