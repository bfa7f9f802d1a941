import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { Capture } from "../peers/capture.ts";
import { PORT } from "../peers/far-services.ts";
import { enterNamespace } from "../peers/namespace.ts";
import { skipWithout } from "../peers/peer-process.ts";
import { download, exchange, patternChecksum, upload } from "../peers/tun-client.ts";
import { FAR, FAR6, shell, TARGETS, TunWorld } from "../peers/tun-world.ts";

const MEGABYTE = 1e6;
/** Each way through each upstream; with SOCKEYE_TEST_TRANSFER_MB=1000 a gigabyte through every one. */
const BYTES = Number(process.env["SOCKEYE_TEST_TRANSFER_MB"] ?? 64) * MEGABYTE;
/** Each way through these, of one family each. */
const GIGABYTE = Math.max(BYTES, 1000 * MEGABYTE);
const WHOLE_GIGABYTE: readonly string[] = [TARGETS.direct[0], TARGETS.socks5[1]];

/** What the kernel found wrong in packets that came to it, of both families. */
function checksumErrors(): number {
  const files = readFileSync("/proc/net/snmp", "utf8").trim().split("\n");
  let errors = 0;
  for (let i = 0; i < files.length; i += 2) {
    const [names, values] = [files[i]!.split(" "), files[i + 1]!.split(" ")];
    names.forEach((name, column) => (errors += name === "InCsumErrors" ? Number(values[column]) : 0));
  }
  for (const line of readFileSync("/proc/net/snmp6", "utf8").split("\n"))
    if (line.includes("InCsumErrors")) errors += Number(line.split(/\s+/)[1]);
  return errors;
}

async function datagram(host: string, size: number): Promise<void> {
  const socket = createSocket(host.includes(":") ? "udp6" : "udp4");
  try {
    socket.connect(PORT.echo, host);
    await once(socket, "connect");
    const payload = Buffer.alloc(size, "abcdefg");
    socket.send(payload);
    const [back] = (await once(socket, "message", { signal: AbortSignal.timeout(10_000) })) as [Buffer];
    assert.ok(back.equals(payload), `${size} bytes came back as others`);
  } finally {
    socket.close();
  }
}

if (await enterNamespace(import.meta.filename)) {
  const world = await TunWorld.make();
  const engine = await world.engine(world.everyWay());
  after(() => world[Symbol.asyncDispose]());

  for (const [upstream, hosts] of Object.entries(TARGETS)) {
    for (const host of hosts) {
      const bytes = WHOLE_GIGABYTE.includes(host) ? GIGABYTE : BYTES;
      test(`${bytes / MEGABYTE} MB to and from ${host} arrive whole through ${upstream}`, async (t) => {
        const expected = patternChecksum(bytes);
        const started = performance.now();
        assert.equal(await upload(host, bytes), expected);
        const turned = performance.now();
        assert.equal(await download(host, bytes), expected);
        const rate = (ms: number) => (bytes / 1000 / ms).toFixed();
        t.diagnostic(`${rate(turned - started)} MB/s up, ${rate(performance.now() - turned)} MB/s down`);
      });
    }
  }

  test("both ways at once, on several connections of either family, every byte arrives", async () => {
    const bytes = 16 * MEGABYTE;
    const hosts = [...TARGETS.direct, ...TARGETS.socks5, ...TARGETS.ssh];
    const sums = await Promise.all(hosts.flatMap((host) => [upload(host, bytes), download(host, bytes)]));
    assert.deepEqual(new Set(sums), new Set([patternChecksum(bytes)]));
  });

  test(
    "no packet of a whole transfer has a wrong checksum, in either direction and family",
    { skip: skipWithout("tcpdump") },
    async (t) => {
      const capture = await Capture.start("sockeye0", join(world.directory, "transfer.pcap"));
      const bytes = 16 * MEGABYTE;
      for (const host of [FAR, FAR6]) {
        assert.equal(await upload(host, bytes), patternChecksum(bytes));
        assert.equal(await download(host, bytes), patternChecksum(bytes));
        await datagram(host, 1200);
      }
      const { checked, large, wrong } = await capture.stop();
      t.diagnostic(`${checked} packets, ${large} of them larger than the MTU`);
      assert.deepEqual(wrong, []);
      assert.ok(checked > 500, `only ${checked} packets were looked at`);
    },
  );

  test("a kernel that asks for explicit congestion notification gets its bytes through, both ways", async () => {
    const ecn = (value: number) => shell(`echo ${value} >/proc/sys/net/ipv4/tcp_ecn`);
    const before = Number(readFileSync("/proc/sys/net/ipv4/tcp_ecn", "utf8"));
    ecn(1);
    try {
      const bytes = 16 * MEGABYTE;
      for (const host of [FAR, FAR6]) {
        assert.equal(await upload(host, bytes), patternChecksum(bytes));
        assert.equal(await download(host, bytes), patternChecksum(bytes));
      }
    } finally {
      ecn(before);
    }
  });

  for (const mtu of [1280, 9000, 65_535, 1500]) {
    test(`with an MTU of ${mtu} everything arrives, and datagrams that need fragments do`, async () => {
      await engine.reconfigure(world.config(world.everyWay({ tun: { mtu } })));
      assert.match(shell("ip link show type tun"), new RegExp(`mtu ${mtu} `));
      const bytes = 16 * MEGABYTE;
      for (const host of [FAR, FAR6, TARGETS.socks5[0], TARGETS.ssh[1]]) {
        assert.equal(await upload(host, bytes), patternChecksum(bytes));
        assert.equal(await download(host, bytes), patternChecksum(bytes));
      }
      for (const host of [FAR, FAR6])
        for (const size of [0, 1, mtu - 48, 4000, 20_000, 65_000])
          await datagram(host, Math.min(size, 65_000)).catch((error: unknown) => {
            throw new Error(`a datagram of ${size} bytes to ${host}`, { cause: error });
          });
    });
  }

  test("the kernel has counted no wrong checksum in all of it", async () => {
    await exchange(FAR);
    assert.equal(checksumErrors(), 0);
    assert.doesNotMatch(engine.output, /"level":"(error|fatal)"/);
  });
}
