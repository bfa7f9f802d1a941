import assert from "node:assert/strict";
import { syncBuiltinESMExports } from "node:module";
import os, { type NetworkInterfaceInfo } from "node:os";
import { afterEach, beforeEach, mock, test } from "node:test";
import { DEVICE_ADDRESSES } from "./dns/plan.ts";
import { watchNetwork } from "./network-watch.ts";

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

test("a machine that slept is told of as such, whatever else has changed meanwhile", () => {
  interfaces = { ...interfaces, eth0: ["203.0.113.9/24"] };
  mock.timers.setTime(Date.now() + 8 * 60 * 60_000);
  look();
  look();
  assert.deepEqual(heard, ["woke-up"]);
});

test("a machine that is only busy has not slept, and who stops hears no more", () => {
  mock.timers.setTime(Date.now() + 9_000);
  look();
  assert.deepEqual(heard, []);
  stop();
  interfaces = {};
  look();
  assert.deepEqual(heard, []);
});
