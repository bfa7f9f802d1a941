import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { once } from "node:events";
import { closeSync, openSync, readdirSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { setImmediate as nextTurn, setTimeout as delay } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { createTun, openTunDevice, type TunDevice, type TunOptions } from "@sockeye/engine/device/tun-device";
import { Checksum, type PacketBurst } from "@sockeye/engine/netstack/device";
import { enterNamespace } from "../peers/namespace.ts";
import { RawTcp, readBurst, sendUdp, TCP, UDP, type Party, type RawPacket } from "../peers/raw-packets.ts";

/** The kernel's address on the device, and one behind it, of either family. */
const FAMILIES = {
  IPv4: { kernel: "10.99.0.1", ours: "10.99.0.2" },
  IPv6: { kernel: "fd99:0:0:0:0:0:0:1", ours: "fd99:0:0:0:0:0:0:2" },
} as const;
type Family = keyof typeof FAMILIES;

interface Setting extends TunOptions {
  readonly header?: boolean;
}

/** With all offload, and every way in which a kernel may have less of it. */
const SETTINGS: Record<string, Setting> = {
  "with segmentation offload": {},
  "with checksum offload alone": { offload: "checksum" },
  "without offload": { offload: "none" },
  "without a header": { header: false },
};

const nothing = () => {};

let counter = 0;

class DeviceUnderTest {
  readonly device: TunDevice;
  readonly bursts: number[] = [];
  readonly closed: Promise<Error | undefined>;
  onPacket: (packet: RawPacket) => void = () => {};

  private constructor(device: TunDevice) {
    this.device = device;
    this.closed = new Promise((resolve) => {
      device.start((burst) => {
        this.#take(burst);
      }, resolve);
    });
  }

  /** A device that is up and has the kernel's addresses. */
  static open({ header = true, ...options }: Setting = {}, mtu = 1500): DeviceUnderTest {
    const name = `tun${counter++}`;
    const descriptor = createTun(name, header);
    ip(`link set ${name} mtu ${mtu} up`);
    ip(`addr add ${FAMILIES.IPv4.kernel}/24 dev ${name}`);
    ip(`addr add ${FAMILIES.IPv6.kernel}/64 dev ${name} nodad`);
    return new DeviceUnderTest(openTunDevice(descriptor, options));
  }

  #take(burst: PacketBurst): void {
    this.bursts.push(burst.count);
    for (const packet of readBurst(burst)) this.onPacket(packet);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.device.close();
    await this.closed;
  }
}

function ip(args: string): void {
  execFileSync("ip", args.split(" "));
}

/** Waits for a condition, long enough for a machine under load. */
async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (!condition()) {
    assert.ok(Date.now() < deadline, `${what} did not come about`);
    await delay(2);
  }
}

/** The kernel's counters of what it found wrong, of both families. */
function errorCounters(): Record<string, number> {
  const lines = readFileSync("/proc/net/snmp", "utf8").trim().split("\n");
  const found: Record<string, number> = {};
  for (let i = 0; i < lines.length; i += 2) {
    const [names, values] = [lines[i]!.split(" "), lines[i + 1]!.split(" ")];
    names.forEach((name, column) => (found[`${names[0]!}${name}`] = Number(values[column])));
  }
  for (const line of readFileSync("/proc/net/snmp6", "utf8").trim().split("\n")) {
    const [name, value] = line.split(/\s+/);
    found[name!] = Number(value);
  }
  return Object.fromEntries(Object.entries(found).filter(([name]) => /Err|InTrunc/.test(name)));
}

async function bindUdp(family: Family): Promise<UdpSocket> {
  const socket = createSocket({ type: family === "IPv4" ? "udp4" : "udp6", recvBufferSize: 4 << 20 });
  socket.bind(0, FAMILIES[family].kernel);
  await once(socket, "listening");
  return socket;
}

/** Bytes that tell where they come from, so that a wrong order shows. */
function pattern(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let i = 0; i + 4 <= length; i += 4) bytes.writeUInt32BE(i, i);
  return bytes;
}

if (await enterNamespace(import.meta.filename)) {
  for (const [how, setting] of Object.entries(SETTINGS)) {
    for (const family of ["IPv4", "IPv6"] as const) {
      const { kernel, ours } = FAMILIES[family];

      test(`${family} datagrams of every size arrive and leave ${how}`, async () => {
        await using tun = DeviceUnderTest.open(setting);
        const socket = await bindUdp(family);
        const before = errorCounters();
        const largest = 1500 - (family === "IPv4" ? 28 : 48);
        const payload = randomBytes(largest);
        const here: Party = { address: ours, port: 5000 };
        const sizes = Array.from({ length: largest + 1 }, (_, i) => i);

        const arrived: Buffer[] = [];
        tun.onPacket = ({ protocol, transport, checksum }) => {
          if (protocol !== UDP) return;
          assert.equal(checksum, Checksum.good);
          arrived.push(transport.subarray(8));
        };
        for (const size of sizes) {
          socket.send(payload.subarray(0, size), here.port, here.address);
          if (size % 100 === 0) await until(() => arrived.length > size, "the arrival of a batch");
        }
        await until(() => arrived.length === sizes.length, "the arrival of all");
        for (const size of sizes) assert.ok(arrived[size]!.equals(payload.subarray(0, size)));

        const there: Party = { address: kernel, port: socket.address().port };
        const received: Buffer[] = [];
        socket.on("message", (message) => received.push(message));
        for (const size of sizes) {
          const cut = size % 7;
          const parts = [
            payload.subarray(0, Math.min(cut, size)),
            payload.subarray(Math.min(cut, size), size),
          ];
          sendUdp(tun.device, [here, there], parts);
        }
        tun.device.flush();
        await until(() => received.length === sizes.length, "the kernel's receiving");
        for (const size of sizes) assert.ok(received[size]!.equals(payload.subarray(0, size)));
        socket.close();
        assert.deepEqual(errorCounters(), before);
        assert.equal(tun.device.lost, 0);
      });

      test(`${family} streams arrive and leave whole ${how}`, async () => {
        await using tun = DeviceUnderTest.open(setting);
        const before = errorCounters();
        const headers = family === "IPv4" ? 40 : 60;
        const peer = new RawTcp(tun.device, 1500 - headers);
        tun.onPacket = (packet) => {
          if (packet.protocol !== TCP) return;
          assert.equal(packet.checksum, Checksum.good);
          peer.take(packet);
        };
        const [up, down] = [pattern(3_000_000), pattern(3_000_000)];
        const client = connect({ port: 80, host: ours });
        await once(client, "connect");
        client.write(up);
        const total = () => peer.received.reduce((sum, part) => sum + part.length, 0);
        await until(() => total() === up.length, "the stream's arrival");
        assert.ok(Buffer.concat(peer.received).equals(up));
        assert.equal(peer.astray, 0);
        if (tun.device.offloaded) assert.ok(peer.largest > 1500, "segments come joined");
        else assert.ok(peer.largest <= 1500, "no packet is larger than the MTU");

        peer.send(down, true);
        const received: Buffer[] = [];
        for await (const part of client) received.push(part as Buffer);
        assert.ok(Buffer.concat(received).equals(down));
        assert.deepEqual(errorCounters(), before);
        assert.equal(tun.device.lost, 0);
      });
    }
  }

  test("many datagrams come in few bursts", async () => {
    await using tun = DeviceUnderTest.open();
    const socket = await bindUdp("IPv4");
    let count = 0;
    tun.onPacket = ({ protocol }) => (count += protocol === UDP ? 1 : 0);
    for (let i = 0; i < 400; i++) socket.send("x", 5000, FAMILIES.IPv4.ours);
    await until(() => count === 400, "the arrival of all");
    assert.ok(tun.bursts.length < 100, `${tun.bursts.length} bursts for 400 packets`);
    socket.close();
  });

  test("no packet's header tells of the packet before it", async () => {
    await using tun = DeviceUnderTest.open();
    const before = errorCounters();
    const peer = new RawTcp(tun.device, 1460);
    tun.onPacket = (packet) => packet.protocol === TCP && peer.take(packet);
    const socket = await bindUdp("IPv4");
    const received: string[] = [];
    socket.on("message", (message) => received.push(String(message)));
    const client = connect({ port: 80, host: FAMILIES.IPv4.ours });
    await once(client, "connect");
    const sent: string[] = [];
    const ends = [
      { address: FAMILIES.IPv4.ours, port: 5000 },
      { address: FAMILIES.IPv4.kernel, port: socket.address().port },
    ] as const;
    for (let i = 0; i < 20; i++) {
      // A packet that is cut, one with a checksum to complete, and one with nothing left to do, in one flush or two.
      peer.send(pattern(10_000));
      for (const complete of [true, false, true]) {
        sent.push(`datagram ${i}${complete ? ", complete" : ""}`);
        sendUdp(tun.device, ends, [Buffer.from(sent.at(-1)!)], complete);
      }
      client.read();
    }
    tun.device.flush();
    await until(() => received.length === sent.length, "the receiving");
    assert.deepEqual(received, sent);
    client.destroy();
    socket.close();
    assert.deepEqual(errorCounters(), before);
  });

  for (const mtu of [1280, 9000, 65535]) {
    test(`an MTU of ${mtu} is told, and packets of that size pass both ways`, async () => {
      await using tun = DeviceUnderTest.open({}, mtu);
      assert.equal(tun.device.mtu, mtu);
      const socket = await bindUdp("IPv4");
      const sent = randomBytes(mtu - 28);
      let arrived: Buffer | undefined;
      tun.onPacket = ({ protocol, transport }) => (protocol === UDP ? (arrived = transport.subarray(8)) : 0);
      socket.send(sent, 5000, FAMILIES.IPv4.ours);
      await until(() => arrived !== undefined, "the arrival");
      assert.ok(arrived?.equals(sent));
      const there = { address: FAMILIES.IPv4.kernel, port: socket.address().port };
      sendUdp(tun.device, [{ address: FAMILIES.IPv4.ours, port: 5000 }, there], [sent]);
      tun.device.flush();
      const [message] = (await once(socket, "message")) as [Buffer];
      assert.ok(message.equals(sent));
      socket.close();
    });
  }

  test("a device that is deleted under us closes with an error, once", async () => {
    await using tun = DeviceUnderTest.open();
    ip(`link del ${tun.device.name}`);
    const error = await tun.closed;
    assert.match(String(error), /was deleted/);
    sendUdp(
      tun.device,
      [
        { address: "10.0.0.1", port: 1 },
        { address: "10.0.0.2", port: 2 },
      ],
      [],
    );
    tun.device.flush();
  });

  test("a device that is taken down closes with an error when a packet is written", async () => {
    await using tun = DeviceUnderTest.open();
    ip(`link set ${tun.device.name} down`);
    sendUdp(
      tun.device,
      [
        { address: "10.0.0.1", port: 1 },
        { address: "10.0.0.2", port: 2 },
      ],
      [],
    );
    tun.device.flush();
    const error = await tun.closed;
    assert.equal((error as NodeJS.ErrnoException).code, "EIO");
  });

  test("it may be closed in the middle of a burst, and used after it without effect", async () => {
    await using tun = DeviceUnderTest.open();
    const socket = await bindUdp("IPv4");
    let count = 0;
    tun.onPacket = ({ protocol }) => {
      if (protocol !== UDP) return;
      if (count++ === 0) tun.device.close();
      sendUdp(
        tun.device,
        [
          { address: "10.0.0.1", port: 1 },
          { address: "10.0.0.2", port: 2 },
        ],
        [],
      );
      tun.device.flush();
    };
    for (let i = 0; i < 50; i++) socket.send("x", 5000, FAMILIES.IPv4.ours);
    assert.equal(await tun.closed, undefined);
    tun.device.close();
    assert.throws(() => tun.device.start(nothing, nothing), /closed/);
    socket.close();
    assert.doesNotMatch(execFileSync("ip", ["link"], { encoding: "utf8" }), new RegExp(tun.device.name));
  });

  test("memory that JavaScript takes away costs packets, and nothing more", async () => {
    await using tun = DeviceUnderTest.open();
    const payload = new Uint8Array(1000);
    const ends = [
      { address: FAMILIES.IPv4.ours, port: 1 },
      { address: FAMILIES.IPv4.kernel, port: 2 },
    ] as const;
    sendUdp(tun.device, ends, [payload]);
    takeAway(payload);
    tun.device.flush();
    assert.equal(tun.device.lost, 1);

    takeAway(tun.device.heads);
    sendUdpBlindly(tun.device);
    tun.device.flush();
  });

  for (const [how, what] of [
    ["exit", "the process exits"],
    ["throw", "its receiver throws, which is an uncaught exception like any other"],
    ["worker", "the worker thread that has it is terminated"],
    ["forget", "JavaScript forgets it, and its descriptor is closed when that is collected"],
  ] as const) {
    test(`nothing crashes where, among packets, ${what}`, async () => {
      const script = join(import.meta.dirname, "../peers/tun-endings-process.ts");
      const child = spawn(process.execPath, [script, how], { stdio: ["ignore", "inherit", "inherit"] });
      const [code, signal] = (await once(child, "exit")) as [number | null, string | null];
      assert.deepEqual([code, signal], [0, null]);
    });
  }

  test("a descriptor that is no TUN device is refused in words, and stays its owner's", () => {
    const descriptor = openSync("/dev/null", "r+");
    assert.throws(() => openTunDevice(descriptor), /no open TUN device/);
    assert.throws(() => openTunDevice(987654), /no open TUN device/);
    closeSync(descriptor);
  });

  test("several queues of one device carry its flows, each packet once and each flow by one queue", async () => {
    const name = "tunqueues";
    const queues = Array.from({ length: 3 }, () => openTunDevice(createTun(name, true, true)));
    assert.deepEqual([...new Set(queues.map((queue) => queue.name))], [name]);
    ip(`link set ${name} up`);
    ip("addr add 10.98.0.1/24 dev tunqueues");
    const heard = queues.map(() => new Map<string, number>());
    queues.forEach((queue, i) => {
      queue.start((burst) => {
        for (let n = 0; n < burst.count; n++) {
          const at = burst.starts[n]!;
          // UDP over IPv4; the source's port tells the flow.
          if (burst.bytes[at] !== 0x45 || burst.bytes[at + 9] !== 17) continue;
          const port = String(burst.bytes.readUInt16BE(at + 20));
          heard[i]!.set(port, (heard[i]!.get(port) ?? 0) + 1);
        }
      }, nothing);
    });
    const sockets = Array.from({ length: 24 }, () => createSocket("udp4"));
    try {
      for (const socket of sockets)
        for (let i = 0; i < 5; i++) await new Promise((resolve) => socket.send("x", 9, "10.98.0.2", resolve));
      const all = () => heard.flatMap((ports) => [...ports.values()]).reduce((sum, one) => sum + one, 0);
      for (let tries = 0; all() < 120 && tries < 500; tries++) await delay(10);
      assert.equal(all(), 120);
      assert.ok(heard.filter((ports) => ports.size > 0).length > 1, "more than one queue carries something");
      const ports = heard.flatMap((queue) => [...queue.keys()]);
      assert.equal(new Set(ports).size, 24);
      assert.equal(ports.length, 24, "no flow is in two queues");
    } finally {
      for (const socket of sockets) socket.close();
      for (const queue of queues) queue.close();
    }
  });

  test("devices opened and closed leave no descriptor and no memory behind", async () => {
    // A persistent one, because it takes the kernel milliseconds to take a device down for good.
    const name = "tunlasting";
    ip(`tuntap add dev ${name} mode tun vnet_hdr`);
    const openAndClose = async (times: number) => {
      for (let i = 0; i < times; i++) {
        const device = openTunDevice(createTun(name));
        if (i % 2 === 0) device.start(nothing, nothing);
        device.close();
        if (i % 50 === 0) await nextTurn();
      }
      for (let i = 0; i < 3; i++) await nextTurn();
    };
    await openAndClose(500);
    const descriptors = readdirSync("/proc/self/fd").length;
    const resident = process.memoryUsage.rss();
    await openAndClose(3000);
    assert.equal(readdirSync("/proc/self/fd").length, descriptors);
    // V8 comes for the last of them when it likes: on a busy machine, after this.
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc") as () => void;
    let grown = Infinity;
    for (let tries = 0; tries < 50 && grown >= 64e6; tries++) {
      collect();
      await delay(20);
      grown = process.memoryUsage.rss() - resident;
    }
    assert.ok(grown < 64e6, `${(grown / 1e6).toFixed()} MB more after 3000 devices`);
  });
}

/** A packet whose head can't be written any more. */
function sendUdpBlindly(device: TunDevice): void {
  device.begin();
  device.end(28, 20, 6, 0);
}

function takeAway(view: Uint8Array): void {
  structuredClone(view.buffer, { transfer: [view.buffer as ArrayBuffer] });
}
