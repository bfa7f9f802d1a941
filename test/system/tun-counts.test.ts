import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { startDnsmasqIn } from "../peers/dnsmasq.ts";
import { enterNamespace } from "../peers/namespace.ts";
import { skipWithout } from "../peers/peer-process.ts";
import { PORT } from "../peers/far-services.ts";
import { connectFailure, exchange, open } from "../peers/tun-client.ts";
import { program, shell, SILENT, TARGETS, TunWorld } from "../peers/tun-world.ts";

const CLI = fileURLToPath(new URL("../../cli/src/main.ts", import.meta.url));
const METRICS = "127.0.0.1:9464";
const QUESTIONS = 40;
const PINGS = 10;
/** A connection for all questions, and one more where the first was closed for having been quiet. */
const FEW = 2;

type Host = "far" | "deep";

/** TCP connections that a host has accepted so far, by its kernel's count. */
function accepted(host: Host): number {
  const [names, values] = shell(`ip netns exec ${host} cat /proc/net/snmp`)
    .split("\n")
    .filter((line) => line.startsWith("Tcp:"))
    .map((line) => line.split(" "));
  return Number(values![names!.indexOf("PassiveOpens")]);
}

/** What both hosts accept meanwhile: the one with the upstreams, and the one behind it. */
async function acceptedDuring(act: () => Promise<void>): Promise<Record<Host, number>> {
  const before = { far: accepted("far"), deep: accepted("deep") };
  await act();
  return { far: accepted("far") - before.far, deep: accepted("deep") - before.deep };
}

if (await enterNamespace(import.meta.filename)) {
  const world = await TunWorld.make();
  after(() => world[Symbol.asyncDispose]());
  const through = { ssh: TARGETS.ssh[0], socks5: TARGETS.socks5[0], http: TARGETS.http[0] };
  const records = Array.from({ length: QUESTIONS }, (_, i) => `host-record=n${i}.example,10.77.9.${i + 1}`);
  const servers = Object.values(through).map((address) => startDnsmasqIn("deep", address, records));
  after(() => servers.forEach((server) => server.kill()));
  const settings = world.everyWay({
    listen: { control: "127.0.0.1:0", metrics: METRICS },
    tun: { dns: "off", ping: true },
  });
  const engine = await world.engine(settings);
  // The upstreams' first connections are not what is counted.
  for (const host of Object.values(through)) assert.equal(await exchange(host), "hello");

  /** All questions, each from a socket of its own, one after the other. */
  async function askAll(server: string): Promise<void> {
    const questions = Array.from({ length: QUESTIONS }, (_, i) => `n${i}.example`);
    const { stdout, stderr } = await program([
      "dig",
      ...questions.flatMap((name) => [`@${server}`, "+short", "+time=5", "+tries=2", name]),
    ]);
    assert.equal(stdout, questions.map((_, i) => `10.77.9.${i + 1}\n`).join(""), stderr);
  }

  /** The series of TUN mode, without the beginning that their names share. */
  async function metrics(): Promise<Record<string, number>> {
    const text = await (await fetch(`http://${METRICS}/metrics`)).text();
    const lines = [...text.matchAll(/^sockeye_tun_(\S+) (\S+)$/gm)];
    return Object.fromEntries(lines.map(([, name, value]) => [name!, Number(value)]));
  }

  let inForce = "off";
  async function setDns(dns: string): Promise<void> {
    if (dns !== inForce)
      await engine.reconfigure(world.config({ ...settings, tun: { ...settings.tun, dns } }));
    inForce = dns;
  }

  test("sockeye status and /metrics tell what the stack does, of the same numbers", async (t) => {
    await setDns("fake-ip");
    const [socket, udp] = [await open(through.http, PORT.echo), createSocket("udp4")];
    t.after(() => (socket.destroy(), udp.close()));
    await new Promise((resolve) => udp.send("hello", PORT.echo, through.socks5, resolve));
    assert.equal((await connectFailure(through.socks5, PORT.nobody)).code, "ECONNREFUSED");

    const told = await metrics();
    assert.ok(told["tcp_connections"]! >= 1);
    assert.equal(told["tcp_half_open"], 0);
    assert.ok(told['tcp_segments_total{direction="in"}']! > 3);
    assert.ok(told['tcp_segments_total{direction="out"}']! > 3);
    assert.ok(told['tcp_resets_total{direction="out"}']! >= 1, "the refused connection");
    assert.equal(told["reassembly_packets"], 0);
    assert.equal(told['dropped_packets_total{reason="malformed"}'], 0);
    assert.ok(told["fake_names_max"]! > 60_000);

    const { stdout, stderr } = await program([process.execPath, CLI, "status"], { env: engine.environment });
    assert.match(stdout, /TUN mode sockeye0 captures 10\.77\.0\.0\/16/, stderr);
    const now = /now: TCP (\d+), half-open 0; UDP (\d+); reassembling 0; fake addresses 0 of 65536\n/.exec(
      stdout,
    );
    assert.ok(now && Number(now[1]) >= 1 && Number(now[2]) >= 1, stdout);
    assert.match(
      stdout,
      /since then: segments \d+ in, \d+ out; sent again 0; resets \d+ in, [1-9]\d* out; packets dropped \d+/,
    );
  });

  for (const dns of ["off", "hijack"]) {
    for (const [upstream, server] of Object.entries(through)) {
      test(
        `${QUESTIONS} DNS questions take no connection each through ${upstream}, with dns: ${dns}`,
        { skip: skipWithout("dig") },
        async () => {
          await setDns(dns);
          const { far, deep } = await acceptedDuring(() => askAll(server));
          assert.ok(far <= FEW, `${far} connections to the upstream`);
          assert.ok(deep <= FEW, `${deep} connections to the name server`);
        },
      );
    }
  }

  for (const [upstream, host] of Object.entries(through)) {
    test(
      `${PINGS} echo requests are answered, and dial a host through ${upstream} for all of them at once`,
      { skip: skipWithout("ping") },
      async () => {
        const { far, deep } = await acceptedDuring(async () => {
          const { stdout } = await program([
            "ping",
            "-n",
            "-c",
            String(PINGS),
            "-i",
            "0.05",
            "-W",
            "5",
            host,
          ]);
          assert.match(stdout, new RegExp(`${PINGS} received`));
        });
        // Three ports are tried in turn.
        assert.ok(far <= 3, `${far} connections to the upstream`);
        assert.ok(deep <= 3, `${deep} connections to the host`);
      },
    );
  }

  test(
    "echo requests are answered by nobody for a target that is not there, nor at all unless that is wanted",
    {
      skip: skipWithout("ping"),
    },
    async () => {
      const received = async (host: string) => {
        const { stdout } = await program(["ping", "-n", "-c", "2", "-i", "0.1", "-W", "2", host]);
        return Number(/(\d+) received/.exec(stdout)?.[1]);
      };
      assert.equal(await received(SILENT), 0);
      assert.equal(await received(through.socks5), 2);
      await engine.reconfigure(world.config({ ...settings, tun: { ...settings.tun, ping: undefined } }));
      assert.equal(await received(through.socks5), 0);
      assert.equal(await exchange(through.socks5), "hello");
    },
  );
}
