import assert from "node:assert/strict";
import { test } from "node:test";
import type { LogRecord } from "@sockeye/engine/control/contract";
import { matching, MAX_LINES, plainText, withEvent } from "./log-lines.ts";

const line = (id: number, message = `line ${id}`, fields: Record<string, unknown> = {}): LogRecord => ({
  id,
  time: Date.UTC(2026, 0, 1) + id,
  level: "info",
  message,
  fields,
});

test("lines are added at the end, and the oldest go beyond the cap", () => {
  const records = Array.from({ length: MAX_LINES }, (_, i) => line(i));
  const lines = withEvent(records, { records: [line(MAX_LINES)], dropped: 0 }, false);
  assert.equal(lines.length, MAX_LINES);
  assert.equal(lines.at(-1)?.id, MAX_LINES);
  assert.equal(lines[0]?.id, 1);
});

test("a new connection's first event takes the place of what was there", () => {
  assert.deepEqual(withEvent([line(1), line(2)], { records: [line(2)], dropped: 0 }, true), [line(2)]);
});

test("lines that were left out are told of where they are missing", () => {
  const lines = withEvent([line(1)], { records: [line(9)], dropped: 7 }, false);
  assert.deepEqual(lines[1], { id: 8.5, dropped: 7 });
});

test("a search wants every word, in the message or a field, in letters of either case", () => {
  const lines = [line(1, "Dial failed", { upstream: "bastion" }), line(2, "dial ok"), line(3, "other")];
  assert.deepEqual(
    matching(lines, " DIAL bastion ").map(({ id }) => id),
    [1],
  );
  assert.equal(matching(lines, "  ").length, 3);
});

test("what is copied is a line each, with its time, level and fields", () => {
  assert.equal(
    plainText([line(0, "up", { upstream: "a", ms: 3 })]),
    "2026-01-01T00:00:00.000Z INFO up upstream=a ms=3",
  );
});
