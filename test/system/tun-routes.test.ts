import assert from "node:assert/strict";
import { join } from "node:path";
import { after, test } from "node:test";
import { addressKey, Capture } from "../peers/capture.ts";
import { enterNamespace } from "../peers/namespace.ts";
import { skipWithout } from "../peers/peer-process.ts";
import { download, exchange, patternChecksum, until } from "../peers/tun-client.ts";
import { FAR, machineState, shell, TARGETS, TunWorld, UPSTREAM, UPSTREAM6 } from "../peers/tun-world.ts";

const EVERYTHING = ["0.0.0.0/0", "::/0"];
const BYTES = 4_000_000;

if (await enterNamespace(import.meta.filename)) {
  const world = await TunWorld.make();
  after(() => world[Symbol.asyncDispose]());
  const before = machineState();
  const config = world.everyWay({ tun: { cidrs: EVERYTHING } });
  const engine = await world.engine(config);

  async function everyTargetAnswers(): Promise<void> {
    for (const host of Object.values(TARGETS).flat())
      await until(
        () =>
          exchange(host).then(
            (text) => text === "hello",
            () => false,
          ),
        `${host} answers`,
        30_000,
      );
  }

  test(
    "with everything captured, nothing of the engine's own enters the device, whichever default route there is",
    { skip: skipWithout("tcpdump") },
    async () => {
      const capture = await Capture.start("sockeye0", join(world.directory, "loops.pcap"));
      await everyTargetAnswers();
      for (const [near, far] of [
        ["near1", ["198.51.100.1", "2001:db8:2::1"]],
        ["near0", ["192.0.2.1", "2001:db8:1::1"]],
      ] as const) {
        const other = near === "near1" ? "near0" : "near1";
        shell(`
          ip route replace default via ${far[0]} dev ${near}; ip -6 route replace default via ${far[1]} dev ${near}
          ip link set ${other} down`);
        await everyTargetAnswers();
        for (const [host] of Object.values(TARGETS))
          assert.equal(await download(host, BYTES), patternChecksum(BYTES));
        const address =
          other === "near0" ? ["192.0.2.2/24", "2001:db8:1::2/64"] : ["198.51.100.2/24", "2001:db8:2::2/64"];
        shell(`ip link set ${other} up; ip -6 addr replace ${address[1]!} dev ${other} nodad`);
      }
      const { addresses } = await capture.stop();
      assert.ok(addresses.has(addressKey(FAR)));
      for (const own of [UPSTREAM, UPSTREAM6]) assert.equal(addresses.has(addressKey(own)), false, own);
    },
  );

  test(
    "with everything captured, an upstream that is reached over IPv6 is not, whichever default route there is",
    { skip: skipWithout("tcpdump") },
    async () => {
      const { address } = world.upstreams["ssh"]!;
      const port = String(address).split(":").at(-1);
      const over6 = { ...world.upstreams["ssh"], address: `[${UPSTREAM6}]:${port}` };
      const upstreams = { ...world.upstreams, ssh: over6 };
      const capture = await Capture.start("sockeye0", join(world.directory, "loops6.pcap"));
      await engine.reconfigure(world.config({ ...config, upstreams }));
      const established = () => shell(`ss -H -t -n state established dst [${UPSTREAM6}]:${port}`).trim();
      for (const gateway of ["2001:db8:2::1 dev near1", "2001:db8:1::1 dev near0"]) {
        shell(`ip -6 route replace default via ${gateway}`);
        for (const host of TARGETS.ssh) {
          await until(
            () =>
              exchange(host).then(
                (text) => text === "hello",
                () => false,
              ),
            `${host} answers`,
            30_000,
          );
          assert.equal(await download(host, BYTES), patternChecksum(BYTES));
        }
        assert.notEqual(established(), "");
      }
      const { addresses } = await capture.stop();
      for (const host of TARGETS.ssh) assert.ok(addresses.has(addressKey(host)), host);
      assert.equal(addresses.has(addressKey(UPSTREAM6)), false);
    },
  );

  test("networks of the file that change are captured and let go, and a wrong file changes nothing", async () => {
    const routes = () => shell("ip route show table 5200").trim();
    await engine.reconfigure(world.config(world.everyWay({ tun: { cidrs: ["10.77.0.0/16"] } })));
    assert.match(routes(), /^10\.77\.0\.0\/16 dev sockeye0/);
    const from = engine.output.length;
    engine.write('{"tun": {"enabled": true, "cidrs": ["10.0.0.0/99"]}}');
    await engine.logs(/10\.0\.0\.0\/99/, from);
    assert.match(routes(), /^10\.77\.0\.0\/16 dev sockeye0/);
    assert.equal(await exchange(TARGETS.socks5[0]), "hello");
  });

  test("TUN mode that is switched off and on in the file comes and goes, and leaves the machine as it was", async () => {
    await engine.reconfigure(world.config(world.everyWay({ tun: { enabled: false } })));
    const rest = (state: string) =>
      state
        .split("\n")
        .filter((line) => !/near|default|unreachable/.test(line))
        .join("\n");
    assert.equal(rest(machineState()), rest(before));
    await engine.reconfigure(world.config(world.everyWay()));
    assert.equal(await exchange(TARGETS.socks5[1]), "hello");
    await engine.reconfigure(world.config(world.everyWay({ tun: { enabled: false } })));
    assert.equal(rest(machineState()), rest(before));
    assert.equal(await engine.stop(), 0);
  });
}
