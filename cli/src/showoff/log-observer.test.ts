import assert from "node:assert/strict";
import { test } from "node:test";
import type { Logger } from "@sockeye/engine/observe/log";
import { LogObserver } from "./log-observer.ts";

test("whoever is refused without end gets so many lines, and a count of the others", () => {
  const lines: object[] = [];
  let now = 0;
  const logger = { warn: (fields: object) => lines.push(fields) } as unknown as Logger;
  const observer = new LogObserver(logger, () => now);
  for (let i = 0; i < 1000; i++)
    observer.connectionRefused("http", "192.0.2.1", { limit: "limits.max_connections" });
  assert.equal(lines.length, 20);
  now = 10_001;
  observer.clientRefused("192.0.2.1", "auth");
  assert.deepEqual(lines.at(-1), { source: "192.0.2.1", code: "auth", others: 980 });
  for (let i = 0; i < 1000; i++) observer.clientRefused("192.0.2.1", "auth");
  assert.equal(lines.length, 40);
});
