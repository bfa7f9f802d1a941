import assert from "node:assert/strict";
import { it } from "node:test";
import { type Binding, BoundSockets, type OwnAddress } from "./bound-sockets.ts";

const ADDRESSES: readonly OwnAddress[] = [
  { interface: "lo0", address: "127.0.0.1", bits: 8 },
  { interface: "en0", address: "192.168.1.7", bits: 24 },
  { interface: "en1", address: "192.168.1.130", bits: 25 },
  { interface: "en0", address: "fd00:1::7", bits: 64 },
];

function sockets(byDefault?: string, asked: () => void = () => {}): BoundSockets {
  const binding: Binding = {
    local: (_family, kind, own) => `${kind} ${own.interface}`,
    byDefault: (family, kind) => byDefault && `${kind} ${byDefault}${family}`,
    addresses: () => {
      asked();
      return ADDRESSES;
    },
  };
  return new BoundSockets(binding);
}

it("a socket goes to the interface of its target's network, the longest prefix first", () => {
  const bound = sockets("wan");
  assert.equal(bound.take(4, "stream", "192.168.1.9"), "stream en0");
  assert.equal(bound.take(4, "stream", "192.168.1.200"), "stream en1");
  assert.equal(bound.take(6, "dgram", "fd00:1::99"), "dgram en0");
  assert.equal(bound.take(4, "stream", "127.0.0.53"), "stream lo0");
});

it("any other target, and none, goes to the default route's interface", () => {
  const bound = sockets("wan");
  assert.equal(bound.take(4, "stream", "203.0.113.9"), "stream wan4");
  assert.equal(bound.take(6, "stream", "2001:db8::1"), "stream wan6");
  assert.equal(bound.take(4, "dgram"), "dgram wan4");
});

it("without a default route a far target is unreachable, a near one is not", () => {
  const bound = sockets();
  assert.throws(() => bound.take(4, "stream", "203.0.113.9"), { code: "unreachable" });
  assert.equal(bound.take(4, "stream", "192.168.1.9"), "stream en0");
});

it("the machine's addresses are not asked for at each connection", () => {
  let asked = 0;
  const bound = sockets("wan", () => asked++);
  for (let i = 0; i < 100; i++) bound.take(4, "stream", "192.168.1.9");
  assert.ok(asked < 10, `asked ${asked} times`);
});
