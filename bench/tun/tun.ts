import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Bench, Rig, Table } from "../bench.ts";
import { interruption, type Window } from "../load/load.ts";
import { isolated, obstacle } from "./namespaces.ts";

/** What crosses into the namespaces. */
export interface Settings {
  readonly window: Window;
  readonly rounds: number;
  readonly quick: boolean;
}

/** What comes back, a line each. */
export type Word =
  | { readonly progress: string }
  | { readonly missing: string }
  | { readonly table: Table }
  | { readonly failure: string };

export const tun: Bench = {
  name: "tun",
  about: "a TUN device before a SOCKS5 upstream, beside the tunnels that are installed",
  async run(rig: Rig): Promise<Table[]> {
    const reason = obstacle();
    if (reason !== undefined) {
      rig.missing(`tun: ${reason}`);
      return [];
    }
    return await runInside(rig);
  },
};

/** iperf3 leaves out whole seconds at the start, or none. */
function settingsOf({ quick, rounds, window }: Rig): Settings {
  return { quick, rounds, window: { seconds: window.seconds, warmUp: quick ? 0 : 1 } };
}

/**
 * Runs the whole of it in namespaces, whose first process is killed, and with it all others, when this one ends or is
 * interrupted. It has a session of its own, so that Ctrl-C reaches us alone.
 */
async function runInside(rig: Rig): Promise<Table[]> {
  const inside = [process.execPath, join(import.meta.dirname, "inside.ts"), JSON.stringify(settingsOf(rig))];
  const [command, ...args] = isolated(inside);
  interruption.signal.throwIfAborted();
  const child = spawn(command!, args, {
    stdio: ["ignore", "pipe", "inherit"],
    detached: true,
    signal: interruption.signal,
    killSignal: "SIGKILL",
  });
  const kill = (): void => void child.kill("SIGKILL");
  process.once("exit", kill);
  const ended = once(child, "exit");
  ended.catch(() => undefined); // An interruption is told by the signal, below.
  const tables: Table[] = [];
  let failure: string | undefined;
  try {
    for await (const line of createInterface(child.stdout)) {
      const word = JSON.parse(line) as Word;
      if ("progress" in word) rig.progress(word.progress);
      else if ("missing" in word) rig.missing(word.missing);
      else if ("table" in word) tables.push(word.table);
      else failure = word.failure;
    }
    const [code] = (await ended) as [number | null];
    if (code !== 0) rig.missing(`tun: it ended early: ${failure ?? "its process was killed"}`);
    return tables;
  } finally {
    kill();
    process.removeListener("exit", kill);
  }
}
