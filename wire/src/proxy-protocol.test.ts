import assert from "node:assert/strict";
import { test } from "node:test";
import { isIP } from "node:net";
import fc from "fast-check";
import {
  type ProxyEndpoint,
  type ProxyHeader,
  ProxyHeaderReader,
  ProxyProtocolError,
  type ProxyVersion,
  writeProxyHeader,
} from "./proxy-protocol.ts";

type Outcome = { header: ProxyHeader; rest: string } | { error: string } | "waiting";

/** Feeds `bytes` in pieces of the lengths given, the last for all that is left. */
function read(accept: ProxyVersion | "any", bytes: Buffer, pieces: readonly number[] = []): Outcome {
  const reader = new ProxyHeaderReader(accept);
  let at = 0;
  try {
    for (let i = 0; at < bytes.length; i++) {
      const length = pieces[i] ?? bytes.length;
      const result = reader.push(bytes.subarray(at, at + length));
      at += length;
      if (result) {
        return {
          header: result.header,
          rest: Buffer.concat([result.rest, bytes.subarray(at)]).toString("latin1"),
        };
      }
    }
    return "waiting";
  } catch (error) {
    assert.ok(error instanceof ProxyProtocolError, String(error));
    return { error: error.code };
  }
}

const everyByte = (bytes: Buffer) => new Array<number>(bytes.length).fill(1);

const signature = "0d0a0d0a000d0a515549540a";
const v2 = (hex: string, rest = "") =>
  Buffer.concat([Buffer.from(signature + hex, "hex"), Buffer.from(rest)]);

const proxied = (
  version: ProxyVersion,
  [host, port]: [string, number],
  [toHost, toPort]: [string, number],
): ProxyHeader => ({
  kind: "proxied",
  version,
  transport: "tcp",
  source: { host, port },
  destination: { host: toHost, port: toPort },
});

const headers: [name: string, bytes: Buffer, header: ProxyHeader][] = [
  [
    "v1 with IPv4",
    Buffer.from("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n"),
    proxied("v1", ["192.0.2.1", 56324], ["198.51.100.2", 443]),
  ],
  [
    "v1 with IPv6",
    Buffer.from("PROXY TCP6 2001:DB8::1 ::ffff:10.0.0.1 0 65535\r\n"),
    proxied("v1", ["2001:db8::1", 0], ["::ffff:10.0.0.1", 65535]),
  ],
  [
    "v1 of the greatest length",
    Buffer.from(`PROXY TCP6 ${"ffff:".repeat(7)}ffff ${"ffff:".repeat(7)}ffff 65535 65535\r\n`),
    proxied("v1", [`${"ffff:".repeat(7)}ffff`, 65535], [`${"ffff:".repeat(7)}ffff`, 65535]),
  ],
  ["v1 UNKNOWN", Buffer.from("PROXY UNKNOWN\r\n"), { kind: "local", version: "v1" }],
  [
    "v1 UNKNOWN with words",
    Buffer.from("PROXY UNKNOWN ffff::1 whatever 1 2\r\n"),
    { kind: "local", version: "v1" },
  ],
  ["v2 LOCAL", v2("20000000"), { kind: "local", version: "v2" }],
  ["v2 LOCAL with addresses", v2("2011000c" + "01020304".repeat(3)), { kind: "local", version: "v2" }],
  [
    "v2 with IPv4",
    v2("2111000c" + "c0000201" + "c6336402" + "dc04" + "01bb"),
    proxied("v2", ["192.0.2.1", 56324], ["198.51.100.2", 443]),
  ],
  [
    "v2 with IPv6",
    v2("21210024" + "20010db8000000000000000000000001" + "20010db8000100000000000100000000" + "dc0401bb"),
    proxied("v2", ["2001:db8::1", 56324], ["2001:db8:1::1:0:0", 443]),
  ],
  [
    "v2 with TLVs after the addresses",
    v2("21110013" + "c0000201c6336402dc0401bb" + "03000401020304"),
    proxied("v2", ["192.0.2.1", 56324], ["198.51.100.2", 443]),
  ],
  [
    "v2 over UDP",
    v2("2112000c" + "c0000201c6336402dc0401bb"),
    { ...proxied("v2", ["192.0.2.1", 56324], ["198.51.100.2", 443]), transport: "udp" } as ProxyHeader,
  ],
  ["v2 of a Unix socket", v2("213100d8" + "61".repeat(216)), { kind: "local", version: "v2" }],
  ["v2 of no protocol", v2("21000003" + "aabbcc"), { kind: "local", version: "v2" }],
  [
    "v2 of IPv4 and no transport",
    v2("2110000c" + "c0000201c6336402dc0401bb"),
    { kind: "local", version: "v2" },
  ],
];

for (const [name, bytes, header] of headers) {
  test(`${name} is read, in any pieces, and what follows it comes first afterwards`, () => {
    const body = "GET / HTTP/1.1\r\n\0PROXY ";
    const whole = Buffer.concat([bytes, Buffer.from(body)]);
    assert.deepEqual(read("any", whole), { header, rest: body });
    assert.deepEqual(read(header.version, whole, everyByte(whole)), { header, rest: body });
    for (let cut = 1; cut < bytes.length; cut++) {
      assert.deepEqual(read("any", whole, [cut]), { header, rest: body });
      assert.equal(read("any", bytes.subarray(0, cut)), "waiting");
    }
  });
}

const faults: [name: string, bytes: Buffer, code: string][] = [
  ["another protocol", Buffer.from("GET / HTTP/1.1\r\n\r\n"), "missing"],
  ["one byte of another protocol", Buffer.from("G"), "missing"],
  ["TLS", Buffer.from("160301", "hex"), "missing"],
  ["lower case", Buffer.from("proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n"), "missing"],
  ["v1 without an end", Buffer.from(`PROXY UNKNOWN ${"x".repeat(200)}`), "too-large"],
  ["v1 of 108 bytes", Buffer.from(`PROXY UNKNOWN ${"x".repeat(92)}\r\n`), "too-large"],
  ["v1 with a bare LF", Buffer.from("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n"), "malformed"],
  ["v1 with a name", Buffer.from("PROXY TCP4 localhost 1.2.3.4 1 2\r\n"), "malformed"],
  ["v1 with IPv6 as TCP4", Buffer.from("PROXY TCP4 ::1 ::1 1 2\r\n"), "malformed"],
  ["v1 with IPv4 as TCP6", Buffer.from("PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n"), "malformed"],
  ["v1 with an octet above 255", Buffer.from("PROXY TCP4 1.2.3.256 1.2.3.4 1 2\r\n"), "malformed"],
  ["v1 with an octal octet", Buffer.from("PROXY TCP4 1.2.3.04 1.2.3.4 1 2\r\n"), "malformed"],
  ["v1 with a port above 65535", Buffer.from("PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n"), "malformed"],
  ["v1 with a signed port", Buffer.from("PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n"), "malformed"],
  ["v1 with a port of leading zeros", Buffer.from("PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n"), "malformed"],
  ["v1 with a missing port", Buffer.from("PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n"), "malformed"],
  ["v1 with two spaces", Buffer.from("PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n"), "malformed"],
  ["v1 with more", Buffer.from("PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n"), "malformed"],
  ["v1 of another family", Buffer.from("PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n"), "malformed"],
  ["v1 UNKNOWNX", Buffer.from("PROXY UNKNOWNX\r\n"), "malformed"],
  ["v2 with a wrong signature", Buffer.from("0d0a0d0a000d0a515549540b2111", "hex"), "missing"],
  ["v2 of version 3", v2("31"), "malformed"],
  ["v2 with command 2", v2("22"), "malformed"],
  ["v2 with family 4", v2("2141"), "malformed"],
  ["v2 with transport 3", v2("2113"), "malformed"],
  ["v2 too short for IPv4", v2("2111000b"), "malformed"],
  ["v2 too short for IPv6", v2("21210023"), "malformed"],
  ["v2 above the cap", v2("2111ffff"), "too-large"],
];

for (const [name, bytes, code] of faults) {
  test(`${name} is refused as ${code}, in any pieces, before more is waited for`, () => {
    assert.deepEqual(read("any", bytes), { error: code });
    assert.deepEqual(read("any", bytes, everyByte(bytes)), { error: code });
  });
}

test("a version that is not accepted is as good as no header", () => {
  for (const [, bytes, { version }] of headers)
    assert.deepEqual(read(version === "v1" ? "v2" : "v1", bytes), { error: "missing" });
});

const endpoint = (host: fc.Arbitrary<string>) =>
  fc.record({ host, port: fc.integer({ min: 0, max: 65_535 }) }) satisfies fc.Arbitrary<ProxyEndpoint>;
const pair = fc.oneof(
  fc.tuple(endpoint(fc.ipV4()), endpoint(fc.ipV4())),
  fc.tuple(endpoint(fc.ipV6()), endpoint(fc.ipV6())),
);

test("what is written is read back, by either version, in any pieces", () => {
  const canonical = (host: string) =>
    isIP(host) === 6 ? new URL(`http://[${host}]/`).hostname.slice(1, -1) : host;
  const pieces = fc.array(fc.integer({ min: 1, max: 20 }), { maxLength: 20 });
  fc.assert(
    fc.property(
      fc.constantFrom("v1" as const, "v2" as const),
      pair,
      pieces,
      (version, [source, destination], cuts) => {
        const mapped = [source, destination].some(({ host }) => /^[0:]*:ffff:/i.test(host));
        fc.pre(!mapped);
        const bytes = writeProxyHeader(version, source, destination);
        const expected: ProxyHeader = {
          kind: "proxied",
          version,
          transport: "tcp",
          source: { ...source, host: canonical(source.host) },
          destination: { ...destination, host: canonical(destination.host) },
        };
        assert.deepEqual(read("any", Buffer.concat([bytes, Buffer.from("x")]), cuts), {
          header: expected,
          rest: "x",
        });
      },
    ),
    { numRuns: 1_000 },
  );
});

test("IPv4 within IPv6 is written as IPv4; families that differ, and names, as unknown", () => {
  const to = { host: "10.0.0.1", port: 80 };
  assert.equal(
    writeProxyHeader("v1", { host: "::ffff:192.0.2.7", port: 5 }, to).toString(),
    "PROXY TCP4 192.0.2.7 10.0.0.1 5 80\r\n",
  );
  for (const host of ["::1", "localhost", "", "fe80::1%eth0"]) {
    assert.equal(writeProxyHeader("v1", { host, port: 5 }, to).toString(), "PROXY UNKNOWN\r\n", host);
    assert.deepEqual(writeProxyHeader("v2", { host, port: 5 }, to), v2("20000000"), host);
  }
  const zone = writeProxyHeader("v1", { host: "fe80::1%eth0", port: 5 }, { host: "fe80:0::2", port: 6 });
  assert.equal(zone.toString(), "PROXY TCP6 fe80::1 fe80::2 5 6\r\n");
});

test("arbitrary bytes, and headers with some bytes changed, end in a header or an error, the same for any pieces", () => {
  const genuine = fc.constantFrom(...headers.map(([, bytes]) => bytes));
  const changed = fc
    .tuple(
      genuine,
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 }),
      fc.uint8Array({ maxLength: 40 }),
    )
    .map(([bytes, changes, more]) => {
      const copy = Buffer.concat([bytes, more]);
      for (const [at, byte] of changes) copy[at % copy.length] = byte;
      return copy;
    });
  const arbitrary = fc.uint8Array({ minLength: 1, maxLength: 300 }).map((bytes) => Buffer.from(bytes));
  fc.assert(
    fc.property(fc.oneof(changed, arbitrary), fc.array(fc.integer({ min: 1, max: 50 })), (bytes, cuts) => {
      const whole = read("any", bytes);
      assert.deepEqual(read("any", bytes, cuts), whole);
      assert.deepEqual(read("any", bytes, everyByte(bytes)), whole);
      if (typeof whole === "object" && "header" in whole && whole.header.kind === "proxied") {
        assert.notEqual(isIP(whole.header.source.host), 0);
        assert.notEqual(isIP(whole.header.destination.host), 0);
      }
    }),
    { numRuns: 5_000 },
  );
});
