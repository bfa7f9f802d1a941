import assert from "node:assert/strict";
import { after, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { PORT } from "../peers/far-services.ts";
import { enterNamespace } from "../peers/namespace.ts";
import { exchange, open, until } from "../peers/tun-client.ts";
import { machineState, shell, TARGETS, TunWorld, UPSTREAM } from "../peers/tun-world.ts";

/** "Within seconds", on a machine under load. */
const SECONDS_MS = 20_000;
/** Long enough to be taken for sleep. */
const SLEEP_MS = 14_000;

if (await enterNamespace(import.meta.filename)) {
  const world = await TunWorld.make();
  after(() => world[Symbol.asyncDispose]());
  const engine = await world.engine(world.everyWay());

  const answers = (host: string): Promise<boolean> =>
    exchange(host).then(
      (text) => text === "hello",
      () => false,
    );

  async function everyTargetAnswers(): Promise<void> {
    for (const host of Object.values(TARGETS).flat())
      await until(() => answers(host), `${host} answers`, SECONDS_MS);
  }

  /** Connections of the engine's own to the upstreams, from the address before a move. */
  const from = (address: string): string =>
    shell(`ss -H -t -n state established src ${address} dst ${UPSTREAM}`).trim();

  test("when the machine moves to another network, upstreams notice and carry again, and dead flows end", async () => {
    await everyTargetAnswers();
    assert.notEqual(from("192.0.2.2"), "");
    const flow = await open(TARGETS.ssh[0], PORT.echo);
    flow.resume();
    const said = engine.output.length;
    // Nobody says goodbye: what was sent from the old addresses is never answered.
    shell(`
      ip addr flush dev near0; ip link set near0 down
      ip route replace default via 198.51.100.1 dev near1; ip -6 route replace default via 2001:db8:2::1 dev near1`);
    await engine.logs(/"msg":"the network has changed"/, said);
    await everyTargetAnswers();
    assert.notEqual(from("198.51.100.2"), "");
    await until(() => flow.closed, "the flow that hung on the old connection has ended", SECONDS_MS);
    assert.match(machineState(), /10\.77\.0\.0\/16 dev sockeye0 table 5200/);
  });

  test("when the machine wakes up, upstreams look whether they live: what died meanwhile is found in seconds", async () => {
    assert.ok(await answers(TARGETS.ssh[0]));
    const said = engine.output.length;
    engine.child.kill("SIGSTOP");
    // Nobody over there can answer us.
    const blackhole = (verb: "add" | "del"): string =>
      shell(`ip netns exec far sh -e -c '
        ip route ${verb} blackhole 198.51.100.2/32; ip -6 route ${verb} blackhole 2001:db8:2::2/128'`);
    blackhole("add");
    await delay(SLEEP_MS);
    engine.child.kill("SIGCONT");
    await engine.logs(/"msg":"the machine was asleep"/, said);
    await engine.logs(/"upstream":"ssh".*"msg":"upstream not connected"/, said);
    blackhole("del");
    await everyTargetAnswers();
    await engine.logs(/"upstream":"ssh".*"msg":"upstream connected"/, said);
    assert.equal(await engine.stop(), 0);
  });
}
