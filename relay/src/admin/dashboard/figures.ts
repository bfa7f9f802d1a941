/** Figures as people read them. */

const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const SHORT = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const UNITS = ["B", "kB", "MB", "GB", "TB", "PB"];

/** 950, 12,345, 1.2M. */
export function count(value: number): string {
  return value < 1_000_000 ? WHOLE.format(value) : SHORT.format(value);
}

/** A number of times a second: 0, 0.3, 4.5, 120. */
export function rate(value: number): string {
  if (value === 0) return "0";
  return value < 10 ? value.toFixed(1) : count(value);
}

/** 0 B, 512 B, 1.4 kB, 20 MB; by thousands. */
export function bytes(value: number): string {
  let [left, unit] = [value, 0];
  while (left >= 999.5 && unit < UNITS.length - 1) {
    left /= 1000;
    unit++;
  }
  return `${unit > 0 && left < 9.95 ? left.toFixed(1) : Math.round(left)} ${UNITS[unit]!}`;
}

/** How long something took: 4 ms, 1.2 s, 3 min. */
export function took(ms: number): string {
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  return ms < 60_000 ? `${(ms / 1000).toFixed(1)} s` : since(ms);
}

/** How long something has lasted: 5 s, 12 min, 3 h, 2 d. */
export function since(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.floor(seconds / 3_600)} h` : `${Math.floor(seconds / 86_400)} d`;
}

/** 14:03:59, in UTC. */
export function clock(at: number): string {
  return new Date(at).toISOString().slice(11, 19);
}
