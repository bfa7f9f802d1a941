import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { test } from "node:test";
import { TargetHealth, type TargetState } from "./target-health.ts";

test("a local service is seen to go and to come back, and each change is told once", async () => {
  const first = createServer((socket) => socket.destroy());
  first.listen(0, "127.0.0.1");
  await once(first, "listening");
  const { port } = first.address() as AddressInfo;
  const told: TargetState[] = [];
  let wake = () => {};
  const health = new TargetHealth({
    target: { host: "127.0.0.1", port },
    intervals: { up: 10, down: 10 },
    onChange: (state) => {
      told.push(state);
      wake();
    },
  });
  const toldTimes = async (times: number) => {
    while (told.length < times) await new Promise<void>((resolve) => (wake = resolve));
  };
  try {
    assert.deepEqual(health.state, { state: "unknown" });
    await toldTimes(1);
    first.close();
    await toldTimes(2);
    const second = createServer((socket) => socket.destroy());
    second.listen(port, "127.0.0.1");
    await toldTimes(3);
    second.close();
    await toldTimes(4);
    assert.deepEqual(
      told.map(({ state }) => state),
      ["up", "down", "up", "down"],
    );
    const last = told.at(-1);
    assert.match(last?.state === "down" ? last.error : "", /refused/);
  } finally {
    health.close();
  }
});

test("real traffic is believed at once", () => {
  const told: string[] = [];
  const health = new TargetHealth({
    target: { host: "127.0.0.1", port: 1 },
    onChange: ({ state }) => told.push(state),
  });
  health.note(undefined);
  health.note("it refused the connection");
  health.note("it refused the connection");
  health.close();
  health.note(undefined);
  assert.deepEqual(told, ["up", "down"]);
});
