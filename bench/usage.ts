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
  return family(pid).reduce((sum, { ticks }) => sum + ticks, 0) / TICKS_PER_SECOND;
}

interface Member extends ProcessTime {
  readonly pid: number;
}

/** A process and its descendants. */
function family(pid: number): Member[] {
  const all: Member[] = [];
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const time = readTime(name);
    if (time !== undefined) all.push({ pid: Number(name), ...time });
  }
  const members = all.filter((one) => one.pid === pid);
  for (const member of members) members.push(...all.filter((one) => one.parent === member.pid));
  return members;
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

/**
 * Bytes of memory that a process and its descendants have in use, with what they share with others counted in
 * proportion (their proportional set size, proc_pid_smaps_rollup in proc(5)).
 */
export function proportionalBytes(pid: number): number {
  return family(pid).reduce((sum, member) => sum + readProportional(member.pid), 0);
}

function readProportional(pid: number): number {
  try {
    const line = /^Pss:\s*(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"));
    return Number(line?.[1] ?? 0) * 1024;
  } catch {
    return 0; // It has no memory any more: it ended while we looked.
  }
}

/** Descriptors that a process may have open. */
export function descriptorLimit(pid: number): number {
  const line = /^Max open files\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/limits`, "utf8"));
  return line === null ? Number.POSITIVE_INFINITY : Number(line[1]);
}
