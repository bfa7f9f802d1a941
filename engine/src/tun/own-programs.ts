import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import type { Endpoint } from "../endpoint.ts";
import { parseAddress } from "../router/address.ts";

/**
 * Tells connections of programs that we started ourselves, each the head of a process group: an SSH upstream's ProxyCommand. Its
 * sockets are its own and carry no mark of ours, so they are captured like anybody's; sent through the upstream that the
 * program is the way to, they would wait for themselves.
 *
 * Linux only, by proc(5), and only what this user may read; elsewhere nothing is told.
 * @param source the connection's own end, as the captured packet has it.
 * @param groups process groups; where there are none, as mostly, nothing is read.
 */
export function isOwnProgram(
  source: Endpoint,
  protocol: "tcp" | "udp",
  groups: ReadonlySet<number>,
): boolean {
  if (groups.size === 0 || process.platform !== "linux") return false;
  const inodes = inodesOf(source, protocol);
  if (inodes.size === 0) return false;
  return processesOf(groups).some((pid) => descriptorsOf(pid).some((link) => inodes.has(link)));
}

/** The sockets bound to an address and port, as links in /proc/PID/fd name them. One that is bound to every address counts too. */
function inodesOf({ host, port }: Endpoint, protocol: "tcp" | "udp"): ReadonlySet<string> {
  const words = parseAddress(host);
  if (!words) return new Set();
  const ends = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  const own = words.map(hexInHostOrder).join("") + ends;
  const any = "0".repeat(words.length * 8) + ends;
  const table = `/proc/net/${protocol}${words.length === 1 ? "" : "6"}`;
  const found = new Set<string>();
  for (const line of readText(table).split("\n")) {
    const fields = line.trim().split(/\s+/);
    if (fields[1] === own || fields[1] === any) found.add(`socket:[${fields[9]}]`);
  }
  return found;
}

/** The kernel prints each word of an address as a number of the machine, which is little-endian. */
function hexInHostOrder(word: number): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(word);
  return bytes.toString("hex").toUpperCase();
}

function processesOf(groups: ReadonlySet<number>): string[] {
  return entriesOf("/proc").filter((name) => {
    if (!/^\d+$/.test(name)) return false;
    // PID (NAME) STATE PPID PGRP …, and the name may hold anything.
    const stat = readText(`/proc/${name}/stat`);
    return groups.has(Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[2]));
  });
}

function descriptorsOf(pid: string): string[] {
  return entriesOf(`/proc/${pid}/fd`).map((descriptor) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${descriptor}`);
    } catch {
      // Closed meanwhile.
      return "";
    }
  });
}

function entriesOf(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
