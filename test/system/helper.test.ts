import assert from "node:assert/strict";
import { closeSync, readFileSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { once } from "node:events";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { cleanUp } from "../../engine/src/helper/spawn.ts";
import { until } from "../peers/exercise.ts";
import { enterNamespace } from "../peers/namespace.ts";
import {
  DEVICE,
  FAR,
  FAR6,
  makeMachine,
  machineState,
  OWN,
  OWN6,
  RESOLV_CONF,
  routeOf,
  run,
  startHelper,
  startOutside,
  TUN,
  TUN6,
  type HelperUnderTest,
} from "../peers/helper-machine.ts";

const MARKED = "mark 0x50c";
const CAPTURED = "dev sockeye0 table 5200";
const ALL = { networks: ["0.0.0.0/0", "::/0"], excluded: [], killSwitch: false };

/** A helper, whose session is over at the end of `work`. */
async function withHelper(
  work: (helper: HelperUnderTest) => Promise<void>,
  log: string[] = [],
): Promise<void> {
  const helper = await startHelper(log);
  try {
    await work(helper);
  } finally {
    helper.client.close();
    await helper.ended;
  }
}

/** The same with its device open, which is closed as well. */
function withDevice(work: (helper: HelperUnderTest) => Promise<void>, log: string[] = []): Promise<void> {
  return withHelper(async (helper) => {
    const { descriptor } = await helper.client.open(DEVICE);
    try {
      await work(helper);
    } finally {
      closeSync(descriptor);
    }
  }, log);
}

if (await enterNamespace(import.meta.filename)) {
  makeMachine();
  const before = machineState();

  describe("the helper's device", () => {
    it("has its addresses, MTU and queue, is up, and takes no part in IPv6's autoconfiguration", () =>
      withDevice(async ({ client }) => {
        const link = run("ip -d link show dev sockeye0");
        assert.match(link, /<[^>]*\bUP\b[^>]*> mtu 1500 .* qlen 1000/);
        assert.match(link, /tun type tun pi off vnet_hdr on persist off addrgenmode none/);
        const addresses = run("ip addr show dev sockeye0");
        assert.match(addresses, /inet 10\.255\.0\.1\/32 scope global noprefixroute/);
        assert.match(addresses, /inet6 fd99::1\/128 scope global nodad noprefixroute/);
        assert.doesNotMatch(addresses, /fe80/);
        assert.equal(readFileSync("/proc/sys/net/ipv6/conf/sockeye0/accept_ra", "utf8").trim(), "0");
        assert.deepEqual(await client.status(), {
          verb: "status",
          device: "sockeye0",
          index: (await client.status()).index,
          captured: 0,
          excluded: 0,
          killSwitch: false,
          dns: "none",
        });
        await assert.rejects(client.open(DEVICE), { code: "state" });
      }));

    it("goes with its last descriptor, whether the helper still runs or not", () =>
      withHelper(async ({ client }) => {
        const { descriptor } = await client.open({ ...DEVICE, vnetHeader: false, mtu: 65_535 });
        const link = run("ip -d link show dev sockeye0");
        closeSync(descriptor);
        assert.match(link, /mtu 65535 .*vnet_hdr off/s);
        // The helper closes its own after it has handed it over.
        await until(() => run("ip -br link show type tun") === "", "the device's end");
      }));

    it("is needed before traffic can be captured", () =>
      withHelper(async ({ client }) => {
        await assert.rejects(client.capture(ALL), { code: "state" });
        await assert.rejects(client.dns([TUN]), { code: "state" });
      }));
  });

  describe("captured traffic", () => {
    it("goes to the device, and excluded, marked, local and bound traffic does not", () =>
      withDevice(async ({ client }) => {
        await client.capture({
          networks: ["203.0.113.0/24", "2001:db8:7::/48"],
          excluded: ["203.0.113.128/25", "2001:db8:7:1::/64"],
          killSwitch: false,
        });
        assert.equal(routeOf(FAR), CAPTURED);
        assert.equal(routeOf(FAR6), CAPTURED);
        assert.equal(routeOf(FAR, `from ${TUN}`), CAPTURED);
        assert.equal(routeOf(FAR6, `from ${TUN6}`), CAPTURED);
        assert.equal(routeOf("203.0.113.200"), "dev eth0");
        assert.equal(routeOf("2001:db8:7:1::7"), "dev eth0");
        assert.equal(routeOf("192.0.2.99"), "dev eth0");
        assert.equal(routeOf(FAR, MARKED), "dev eth0");
        assert.equal(routeOf(FAR6, MARKED), "dev eth0");
        // A server's reply has its address already.
        assert.equal(routeOf(FAR, `from ${OWN}`), "dev eth0");
        assert.equal(routeOf(FAR6, `from ${OWN6}`), "dev eth0");
        assert.equal(routeOf(OWN), "dev lo table local");
      }));

    it("is captured whole with 0.0.0.0/0 and ::/0, whatever becomes of the default route", () =>
      withDevice(async ({ client }) => {
        await client.capture(ALL);
        for (const change of [
          "",
          "ip route replace default via 198.51.100.1 dev eth1",
          "ip route del default",
        ]) {
          run(change);
          assert.equal(routeOf(FAR), CAPTURED, change);
          assert.equal(routeOf(FAR6), CAPTURED, change);
        }
        assert.equal(routeOf(FAR, MARKED), "Network is unreachable");
        run("ip route add default via 198.51.100.1 dev eth1");
        assert.equal(routeOf(FAR, MARKED), "dev eth1");
        run("ip route replace default via 192.0.2.1 dev eth0");
        assert.equal(routeOf(FAR, MARKED), "dev eth0");
      }));

    it("leaves connections alone that exist already", async () => {
      const outside = await startOutside();
      const sockets = await Promise.all([FAR, FAR6].map((host) => connected(host)));
      await withDevice(async ({ client }) => {
        await client.capture(ALL);
        for (const socket of sockets) assert.equal(await echoed(socket, "still here"), "still here");
      });
      for (const socket of sockets) {
        assert.equal(await echoed(socket, "and after"), "and after");
        socket.destroy();
      }
      await outside.stop();
    });

    it("is replaced in place, twice the same being once", () =>
      withDevice(async ({ client }) => {
        for (let i = 0; i < 2; i++)
          await client.capture({ networks: ["10.0.0.0/8"], excluded: ["10.1.0.0/16"], killSwitch: false });
        // The kernel sets the route of the device's own IPv6 address in its own time.
        await until(() => run("ip -6 route show table local").includes(TUN6), "the address has its route");
        const once = machineState();
        await client.capture({ networks: ["172.16.0.0/12", "fd00::/8"], excluded: [], killSwitch: true });
        assert.equal(routeOf("172.16.0.1"), CAPTURED);
        assert.equal(routeOf("fd00::1"), CAPTURED);
        assert.equal(routeOf("10.2.0.1"), "dev eth0");
        await client.capture({ networks: ["10.0.0.0/8"], excluded: ["10.1.0.0/16"], killSwitch: false });
        assert.equal(machineState(), once);
        await client.capture({ networks: [], excluded: [], killSwitch: true });
        assert.equal(run("ip rule | grep -c 205 || true").trim(), "0");
        assert.equal((await client.status()).killSwitch, false);
      }));

    it("needs an address of its family on the device", () =>
      withHelper(async ({ client }) => {
        const { descriptor } = await client.open({ ...DEVICE, addresses: [`${TUN}/32`] });
        await assert.rejects(client.capture(ALL), { code: "state" });
        closeSync(descriptor);
      }));

    it("is what was asked for, network by network", () =>
      withDevice(async ({ client }) => {
        const network = fc.oneof(
          fc.tuple(fc.ipV4(), fc.integer({ min: 0, max: 32 })).map(([ip, bits]) => masked4(ip, bits)),
          fc
            .tuple(fc.integer({ min: 1, max: 0xffff }), fc.integer({ min: 16, max: 128 }))
            .map(([word, bits]) => `${(0x2000 | (word & 0xfff)).toString(16)}::/${bits}`),
        );
        const lists = fc.record({
          networks: fc.array(network, { maxLength: 12 }),
          excluded: fc.array(network, { maxLength: 6 }),
          killSwitch: fc.boolean(),
        });
        await fc.assert(
          fc.asyncProperty(lists, async (asked) => {
            await client.capture(asked);
            assert.deepEqual(tableOf(), tableFor(asked));
          }),
          { numRuns: 25 },
        );
      }));
  });

  describe("name servers", () => {
    it("are written to resolv.conf with the other lines kept, and put back with mode and owner", async () => {
      await withDevice(async ({ client }) => {
        assert.equal(await client.dns([TUN, "fd99::53"], ["corp.example"]), "file");
        const [comment, ...lines] = readFileSync("/etc/resolv.conf", "utf8").split("\n");
        assert.match(comment!, /^# Written by sockeye-helper/);
        assert.deepEqual(lines, [
          `nameserver ${TUN}`,
          "nameserver fd99::53",
          "search corp.example",
          "options edns0",
          "",
        ]);
        assert.equal((await client.status()).dns, "file");
        assert.equal(await client.dns([TUN6]), "file");
        assert.equal(await client.dns([]), "none");
        assert.equal(readFileSync("/etc/resolv.conf", "utf8"), RESOLV_CONF);
        await client.dns([TUN]);
        assert.deepEqual(await client.release(), []);
        assert.equal(readFileSync("/etc/resolv.conf", "utf8"), RESOLV_CONF);
        const { descriptor } = await client.open(DEVICE);
        await client.dns([TUN]);
        closeSync(descriptor);
      });
      assert.equal(machineState(), before);
    });

    it("are put back through a link and on a mount", async () => {
      for (const [make, unmake] of [
        [
          "mv /etc/resolv.conf /run/real; ln -s /run/real /etc/resolv.conf",
          "rm /etc/resolv.conf; mv /run/real /etc/resolv.conf",
        ],
        [
          "cp -p /etc/resolv.conf /run/real; mount --bind /run/real /etc/resolv.conf",
          "umount /etc/resolv.conf; rm /run/real",
        ],
      ] as const) {
        run(make);
        await withDevice(async ({ client }) => {
          await client.dns([TUN]);
          assert.match(readFileSync("/run/real", "utf8"), /nameserver 10\.255\.0\.1/);
        });
        assert.equal(readFileSync("/run/real", "utf8"), RESOLV_CONF);
        run(unmake);
        assert.equal(machineState(), before);
      }
    });

    it("are left alone where another program changed them since, which is said until it is settled", async () => {
      const log: string[] = [];
      await withDevice(async ({ client }) => {
        await client.dns([TUN]);
        writeFileSync("/etc/resolv.conf", "nameserver 192.0.2.99\n");
        const problems = await client.release();
        assert.equal(problems.length, 1);
        assert.match(problems[0]!, /changed by another program and is left alone/);
      }, log);
      assert.match(log.join("\n"), /not undone: \/etc\/resolv\.conf was changed/);
      assert.equal(readFileSync("/etc/resolv.conf", "utf8"), "nameserver 192.0.2.99\n");
      assert.match(cleanUp(), /changed by another program/);
      assert.equal(readFileSync("/var/lib/sockeye/resolv.conf.original", "utf8"), RESOLV_CONF);
      run("cp /var/lib/sockeye/resolv.conf.original /etc/resolv.conf");
      assert.equal(cleanUp(), "");
      assert.equal(machineState(), before);
    });

    it("are put back where writing them was cut short", async () => {
      for (const cut of [0, 20]) {
        await withDevice(async ({ client }) => {
          await client.dns([TUN]);
          const written = readFileSync("/etc/resolv.conf", "utf8");
          writeFileSync("/etc/resolv.conf", written.slice(0, cut));
        });
        assert.equal(machineState(), before);
      }
    });
  });

  it("everything is as it was", () => assert.equal(machineState(), before));
}

async function connected(host: string): Promise<Socket> {
  const socket = connect({ host, port: 7 });
  await once(socket, "connect");
  return socket;
}

async function echoed(socket: Socket, text: string): Promise<string> {
  socket.write(text);
  return String(((await once(socket, "data")) as [Buffer])[0]);
}

function masked4(ip: string, bits: number): string {
  const word = ip.split(".").reduce((sum, octet) => sum * 256 + Number(octet), 0);
  const kept = bits === 0 ? 0 : (word & (0xffffffff << (32 - bits))) >>> 0;
  return `${kept >>> 24}.${(kept >>> 16) & 255}.${(kept >>> 8) & 255}.${kept & 255}/${bits}`;
}

interface Asked {
  readonly networks: readonly string[];
  readonly excluded: readonly string[];
  readonly killSwitch: boolean;
}

/** The routes of our table, in the words of `tableFor`. */
function tableOf(): string[] {
  const text = run("ip route show table 5200; ip -6 route show table 5200");
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      const [, type = "dev", network] = /^(?:(unreachable|throw) )?(\S+)/.exec(line)!;
      return `${type} ${network === "default" ? (line.includes("pref") ? "::/0" : "0.0.0.0/0") : network!}`;
    })
    .sort();
}

function tableFor({ networks, excluded, killSwitch }: Asked): string[] {
  const plain = (text: string): string =>
    text.replace(/\/(32)$/, (all) => (text.includes(":") ? all : "")).replace(/\/128$/, "");
  const captured = networks.filter((network) => !excluded.includes(network));
  const all = [
    ...excluded.map((network) => `throw ${plain(network)}`),
    ...captured.map((network) => `dev ${plain(network)}`),
    ...(killSwitch ? captured.map((network) => `unreachable ${plain(network)}`) : []),
  ];
  return [...new Set(all)].sort();
}
