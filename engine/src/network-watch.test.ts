import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import os, { type NetworkInterfaceInfo, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, mock, test, type TestContext } from "node:test";
import { DEVICE_ADDRESSES } from "./dns/plan.ts";
import { defaultRoutes, type NetworkEvent, watchNetwork } from "./network-watch.ts";

const NOTICED_MS = 2000;
const STEP_MS = 500;

/** A watch over a network that a test changes, with a clock that it turns. */
function watched(t: TestContext) {
  const { timers } = t.mock;
  timers.enable({ apis: ["setInterval", "Date"], now: 1_000_000 });
  const events: NetworkEvent[] = [];
  const network = { is: "home" };
  t.after(
    watchNetwork(
      (event) => events.push(event),
      () => network.is,
    ),
  );
  // In steps, because a tick's timers all see the time at its end.
  const pass = (ms: number) => {
    for (let passed = 0; passed < ms; passed += STEP_MS) timers.tick(STEP_MS);
  };
  /** The processor stands still, and the wall clock does not. */
  const sleep = (ms: number) => timers.setTime(Date.now() + ms);
  return { events, network, pass, sleep };
}

test("a network that stays as it is is nothing to tell of", (t) => {
  const { events, pass } = watched(t);
  pass(60_000);
  assert.deepEqual(events, []);
});

test("another network is told of within seconds, once", (t) => {
  const { events, network, pass } = watched(t);
  network.is = "train";
  pass(NOTICED_MS);
  assert.deepEqual(events, ["network-changed"]);
  pass(60_000);
  network.is = "home";
  pass(NOTICED_MS);
  assert.deepEqual(events, ["network-changed", "network-changed"]);
});

test("sleep is told of within seconds of waking, and a short pause is no sleep", (t) => {
  const { events, network, pass, sleep } = watched(t);
  pass(1000);
  sleep(5000);
  pass(NOTICED_MS);
  assert.deepEqual(events, []);
  sleep(3_600_000);
  network.is = "train";
  pass(NOTICED_MS);
  assert.deepEqual(events, ["woke-up"], "one event, which means both");
  pass(60_000);
  assert.deepEqual(events, ["woke-up"]);
});

test(
  "the default routes of both families count, and nothing of our own",
  { skip: process.platform === "linux" ? false : "the kernel's tables are read on Linux" },
  () => {
    const folder = mkdtempSync(join(tmpdir(), "sockeye-routes-"));
    const none = "0".repeat(32);
    const gateway = "fe80000000000000021122fffe334455";
    const rest = "00000400 00000001 00000000";
    const lines6 = [
      `20010db8000000000000000000000000 40 ${none} 00 ${none} ${rest} 00000001 eth0`,
      `${none} 00 ${none} 00 ${gateway} ${rest} 00000003 eth0`,
      `${none} 00 ${none} 00 ${none} ${rest} 00000001 sockeye0`,
      `${none} 00 ${none} 00 ${none} ${rest} 00200200 lo`,
    ];
    const lines4 = [
      "Iface\tDestination\tGateway\tFlags",
      "eth0\t00000000\t0102A8C0\t0003",
      "eth0\t0002A8C0\t00000000\t0001",
    ];
    try {
      assert.deepEqual(defaultRoutes(folder), []);
      writeFileSync(join(folder, "route"), `${lines4.join("\n")}\n`);
      writeFileSync(join(folder, "ipv6_route"), `${lines6.join("\n")}\n`);
      assert.deepEqual(defaultRoutes(folder), ["eth0 0102A8C0", `eth0 ${gateway}`]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
);

describe("the addresses of interfaces", () => {
  const real = os.networkInterfaces;
  let interfaces: Record<string, string[]>;
  let heard: string[];
  let stop: () => void;

  beforeEach(() => {
    mock.timers.enable({ apis: ["setInterval", "Date"], now: 1_000_000 });
    interfaces = { lo: ["127.0.0.1/8"], eth0: ["192.0.2.7/24"] };
    os.networkInterfaces = () =>
      Object.fromEntries(Object.entries(interfaces).map(([name, list]) => [name, list.map(described)]));
    syncBuiltinESMExports();
    heard = [];
    stop = watchNetwork((event) => heard.push(event));
  });
  afterEach(() => {
    stop();
    os.networkInterfaces = real;
    syncBuiltinESMExports();
    mock.timers.reset();
  });

  function described(cidr: string): NetworkInterfaceInfo {
    const [address = ""] = cidr.split("/");
    return {
      address,
      cidr,
      netmask: "255.255.255.0",
      family: "IPv4",
      mac: "00:00:00:00:00:00",
      internal: address.startsWith("127."),
    };
  }

  const look = (): void => mock.timers.tick(2_000);

  test("another address, a network that goes and one that comes are each told once", () => {
    look();
    assert.deepEqual(heard, []);
    interfaces = { ...interfaces, eth0: ["192.0.2.8/24"] };
    look();
    look();
    assert.equal(heard.length, 1);
    const { eth0, ...rest } = interfaces;
    interfaces = rest;
    look();
    interfaces = { ...rest, wlan0: eth0! };
    look();
    assert.deepEqual(heard, ["network-changed", "network-changed", "network-changed"]);
  });

  test("our own device, containers and the loopback are no network", () => {
    interfaces = {
      ...interfaces,
      lo: ["127.0.0.1/8", "127.0.0.2/8"],
      sockeye0: ["198.51.100.1/32"],
      utun7: [`${DEVICE_ADDRESSES[0]}/32`],
      docker0: ["172.17.0.1/16"],
      "br-1a2b": ["172.18.0.1/16"],
      veth12: ["169.254.1.1/16"],
    };
    look();
    assert.deepEqual(heard, []);
  });
});
