import { readdirSync, readFileSync } from "node:fs";

/** Linux counts processor time in hundredths of a second for every program (USER_HZ, proc_pid_stat(5)). */
const TICKS_PER_SECOND = 100;

interface ProcessTime {
  readonly parent: number;
  /** Its own time and that of its children that have ended. */
  readonly ticks: number;
}

/** Processor seconds that a process and its descendants have used. */
export function processorSeconds(pid: number): number {
  const table = new Map(
    readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name))
      .map((name) => [Number(name), readTime(name)] as const),
  );
  const family = [pid];
  for (const member of family) {
    for (const [candidate, time] of table) if (time?.parent === member) family.push(candidate);
  }
  return family.reduce((sum, member) => sum + (table.get(member)?.ticks ?? 0), 0) / TICKS_PER_SECOND;
}

function readTime(pid: string): ProcessTime | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // After the name in brackets come the fields from the third on: state, parent, …, utime (14th), stime, cutime, cstime.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return {
      parent: Number(fields[1]),
      ticks: fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0),
    };
  } catch {
    return undefined; // It ended while we looked.
  }
}

/** Bytes of memory that a process has in use (its resident set). */
export function residentBytes(pid: number): number {
  const line = /^VmRSS:\s*(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  if (line === null) throw new Error(`process ${pid} has no memory any more`);
  return Number(line[1]) * 1024;
}

/** Descriptors that a process may have open. */
export function descriptorLimit(pid: number): number {
  const line = /^Max open files\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/limits`, "utf8"));
  return line === null ? Number.POSITIVE_INFINITY : Number(line[1]);
}
