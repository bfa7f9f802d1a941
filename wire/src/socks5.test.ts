import assert from "node:assert/strict";
import { SocketAddress, isIPv4, isIPv6 } from "node:net";
import { describe, it } from "node:test";
import fc from "fast-check";
import { readAddress, readUdpHeader, Socks5Error, writeAddress, writeUdpHeader } from "./socks5.ts";

const port = fc.integer({ min: 0, max: 65535 });
const name = fc
  .string({ unit: "grapheme", minLength: 1, maxLength: 60 })
  .filter((text) => !/[\0-\x20\x7f]/.test(text) && text.isWellFormed() && Buffer.byteLength(text) <= 255);

describe("a SOCKS5 address", () => {
  it("comes back as it was written, whatever the host", () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.domain(), name), port, fc.nat(8), (host, port, offset) => {
        const bytes = Buffer.concat([
          Buffer.alloc(offset, 0xaa),
          writeAddress({ host, port }),
          Buffer.of(1, 2),
        ]);
        const read = readAddress(bytes, offset);
        assert.equal(read?.end, bytes.length - 2);
        if (isIPv6(host)) assert.ok(isIPv6(read.address.host));
        else assert.equal(read.address.host, host);
        assert.equal(read.address.port, port);
      }),
    );
  });

  it("writes every form of an IPv6 address, and reads it in the form of RFC 5952", () => {
    fc.assert(
      fc.property(fc.ipV6(), port, (host, port) => {
        const read = readAddress(writeAddress({ host, port }), 0);
        assert.equal(read?.end, 19);
        const expected = new SocketAddress({ address: host, family: "ipv6" }).address;
        const same = new SocketAddress({ address: read.address.host, family: "ipv6" }).address;
        assert.equal(same, expected);
        const again = readAddress(writeAddress(read.address), 0);
        assert.deepEqual(again?.address, { host: read.address.host, port });
      }),
    );
    const read = (host: string) => readAddress(writeAddress({ host, port: 1 }), 0)?.address.host;
    assert.equal(read("2001:DB8:0:0:1:0:0:1"), "2001:db8::1:0:0:1");
    assert.equal(read("0:0:0:0:0:0:0:0"), "::");
    assert.equal(read("1:0:2:3:4:5:6:7"), "1:0:2:3:4:5:6:7");
  });

  it("leaves an address with a leading zero to the resolver, as a name", () => {
    assert.equal(writeAddress({ host: "010.0.0.1", port: 1 })[0], 3);
    assert.equal(writeAddress({ host: "10.0.0.1", port: 1 })[0], 1);
    assert.ok(!isIPv4("010.0.0.1"));
  });

  it("is undefined while bytes are missing, at every length", () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6(), name), port, (host, port) => {
        const bytes = writeAddress({ host, port });
        for (let length = 0; length < bytes.length; length++)
          assert.equal(readAddress(bytes.subarray(0, length), 0), undefined);
      }),
    );
  });

  it("refuses names that are empty, too long, not UTF-8, or have control bytes or spaces", () => {
    const read = (raw: Buffer) =>
      readAddress(Buffer.concat([Buffer.of(3, raw.length), raw, Buffer.of(0, 80)]), 0);
    for (const raw of [Buffer.alloc(0), Buffer.of(0x61, 0), Buffer.from("a b"), Buffer.of(0xff, 0x61)])
      assert.throws(() => read(raw), { name: "Socks5Error", code: "address" });
    assert.equal(read(Buffer.from("bücher.example"))?.address.host, "bücher.example");
    for (const host of ["", "x".repeat(256), "ü".repeat(128)])
      assert.throws(() => writeAddress({ host, port: 1 }), { name: "Socks5Error", code: "too-long" });
  });

  it("throws nothing but its own error, whatever the bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (raw) => {
        try {
          readAddress(Buffer.from(raw), 0);
          readUdpHeader(Buffer.from(raw));
        } catch (error) {
          assert.ok(error instanceof Socks5Error);
        }
      }),
    );
  });
});

describe("a SOCKS5 UDP header", () => {
  it("comes back with its payload", () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), name), port, fc.uint8Array(), (host, port, raw) => {
        const payload = Buffer.from(raw);
        const read = readUdpHeader(Buffer.concat([writeUdpHeader({ host, port }), payload]));
        assert.deepEqual(read.address, { host, port });
        assert.deepEqual(read.payload, payload);
      }),
    );
  });

  it("refuses a fragment, a reserved byte and a datagram that ends in its header", () => {
    const good = writeUdpHeader({ host: "1.2.3.4", port: 5 });
    const changed = (at: number) => Buffer.from(good.map((byte, i) => (i === at ? 1 : byte)));
    assert.throws(() => readUdpHeader(changed(0)), { code: "reserved" });
    assert.throws(() => readUdpHeader(changed(2)), { code: "fragment" });
    for (let length = 0; length < good.length; length++)
      assert.throws(() => readUdpHeader(good.subarray(0, length)), { code: "truncated" });
  });
});
