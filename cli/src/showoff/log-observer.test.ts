import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { createLogger } from "@sockeye/engine/observe/log";
import { LogObserver } from "./log-observer.ts";

test("whoever is refused without end gets so many lines, and a count of the others", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const lines: Record<string, unknown>[] = [];
  const write = (line: string) => lines.push(JSON.parse(line) as Record<string, unknown>);
  const observer = new LogObserver(createLogger({ level: "info", format: "json", destination: { write } }));
  for (let i = 0; i < 1000; i++)
    observer.connectionRefused("http", "192.0.2.1", { limit: "limits.max_connections" });
  assert.equal(lines.length, 20);
  assert.equal(lines[0]!["limit"], "limits.max_connections");
  mock.timers.tick(10_001);
  assert.equal(lines.length, 21);
  assert.equal(lines[20]!["count"], 980);
  for (let i = 0; i < 1000; i++) observer.clientRefused("192.0.2.1", { code: "auth", reason: "no" });
  assert.equal(lines.length, 41);
  mock.timers.reset();
});
