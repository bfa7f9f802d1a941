import type { EditValue } from "@sockeye/engine/control/contract";

/** An upstream, a share or a relay as the file has it: keys and their values. */
export type FileMapping = Readonly<Record<string, EditValue>>;

/** New and changed keys, and null for those that are gone. */
export function difference(before: FileMapping, after: FileMapping): Record<string, EditValue> {
  const changes: Record<string, EditValue> = {};
  for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const [old, next] = [before[key], after[key]];
    if (JSON.stringify(old) === JSON.stringify(next)) continue;
    if (next === undefined) changes[key] = null;
    else changes[key] = isEditMapping(old) && isEditMapping(next) ? difference(old, next) : next;
  }
  return changes;
}

export function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isEditMapping(value: EditValue | undefined): value is FileMapping {
  return isMapping(value);
}
