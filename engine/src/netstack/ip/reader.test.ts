import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { type IpPacket, Protocol } from "./packet.ts";
import { IpReader, ProblemCode, Reading } from "./reader.ts";
import { internetSum, ipv4, ipv6, packetOf, type SampleHeader, udp, udpDatagram } from "./sample-packets.ts";

const four = { source: "10.0.0.2", target: "192.0.2.1" };
const six = { source: "fd00::2", target: "2001:db8::1" };
const ports = { sourcePort: 1000, targetPort: 2000 };
const datagram4 = udpDatagram({ ...four, ...ports }, Buffer.from("hi"));
const datagram6 = udpDatagram({ ...six, ...ports }, Buffer.from("hi"));

const reader = new IpReader();

function read(bytes: Buffer): { reading: number; packet: IpPacket } {
  const packet = packetOf(bytes);
  return { reading: reader.read(packet), packet };
}

function readIpv4(header: Partial<SampleHeader>): number {
  return read(ipv4({ ...four, protocol: 17, ...header }, datagram4)).reading;
}

/** Changes a byte of an IPv4 header, and makes its sum right again. */
function withByte(packet: Buffer, at: number, value: number): Buffer {
  packet[at] = value;
  packet.writeUInt16BE(0, 10);
  packet.writeUInt16BE(internetSum([packet.subarray(0, (packet[0]! & 15) * 4)]), 10);
  return packet;
}

describe("IPv4 headers", () => {
  it("are read, options skipped, and what stands behind the packet left out", () => {
    const options = Buffer.of(7, 3, 4, 0);
    const bytes = ipv4({ ...four, protocol: 17, options }, datagram4);
    const { reading, packet } = read(Buffer.concat([bytes, Buffer.alloc(11)]));
    assert.equal(reading, Reading.ok);
    assert.deepEqual(
      [packet.version, packet.protocol, packet.transportAt, packet.end, packet.addressesAt],
      [4, Protocol.udp, 24, bytes.length, 12],
    );
    assert.deepEqual([packet.addressBytes, packet.hopLimit, packet.fragmentAt], [4, 64, -1]);
  });

  it("are read where they stand in a burst", () => {
    const bytes = Buffer.concat([Buffer.alloc(33, 0x45), udp({ ...four, ...ports }), Buffer.alloc(9, 0x45)]);
    const packet = packetOf(bytes);
    packet.start = 33;
    packet.end = bytes.length - 9;
    assert.equal(reader.read(packet), Reading.ok);
    assert.equal(packet.transportAt, 53);
  });

  it("are refused with a wrong sum, version or length", () => {
    const good = () => ipv4({ ...four, protocol: 17 }, datagram4);
    const flipped = good();
    flipped[8]! ^= 1;
    assert.equal(read(flipped).reading, Reading.malformed, "sum");
    assert.equal(read(withByte(good(), 0, 0x55)).reading, Reading.malformed, "version");
    assert.equal(read(withByte(good(), 0, 0x44)).reading, Reading.malformed, "header of 16 bytes");
    assert.equal(read(withByte(good(), 3, 31)).reading, Reading.malformed, "longer than what came");
    assert.equal(read(withByte(good(), 3, 19)).reading, Reading.malformed, "shorter than its header");
    assert.equal(read(good().subarray(0, 19)).reading, Reading.malformed, "cut");
    assert.equal(read(Buffer.alloc(0)).reading, Reading.malformed, "nothing");
  });

  it("are refused from and to addresses that no host has", () => {
    for (const source of ["0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.1", "255.255.255.255", four.target]) {
      assert.equal(readIpv4({ source }), Reading.martian, source);
    }
    for (const target of ["0.0.0.0", "127.9.9.9", "255.255.255.255", "240.0.0.1"]) {
      assert.equal(readIpv4({ target }), Reading.martian, target);
    }
    assert.equal(readIpv4({ target: "239.255.255.250" }), Reading.multicast);
  });

  it("tell a fragment by its offset or by the fragments that follow", () => {
    const cases = [{ more: true }, { offset: 8 }, { offset: 8, more: true }];
    for (const fragment of cases) {
      const { packet } = read(ipv4({ ...four, protocol: 17, ...fragment }, datagram4));
      assert.equal(packet.fragmentAt, 0);
    }
  });
});

/** An extension header: next header, its contents, padded to a multiple of 8. */
function extension(next: number, contents: readonly number[]): Buffer {
  const size = Math.ceil((2 + contents.length) / 8) * 8;
  const header = Buffer.alloc(size);
  header[0] = next;
  header[1] = size / 8 - 1;
  header.set(contents, 2);
  return header;
}

function readIpv6(first: number, ...parts: Buffer[]): { reading: number; packet: IpPacket } {
  return read(ipv6({ ...six, protocol: first }, Buffer.concat(parts)));
}

describe("IPv6 headers", () => {
  const HOP = 0;
  const ROUTING = 43;
  const FRAGMENT = 44;
  const NONE = 59;
  const DESTINATION = 60;
  const UDP = 17;

  it("are read to the transport behind every kind of extension header", () => {
    const { reading, packet } = readIpv6(
      HOP,
      extension(ROUTING, [5, 2, 0, 0, 1, 0]),
      extension(FRAGMENT, [0, 0, 0, 0]),
      Buffer.of(DESTINATION, 0, 0, 0, 1, 2, 3, 4),
      extension(UDP, [1, 4]),
      datagram6,
    );
    assert.equal(reading, Reading.ok);
    assert.deepEqual([packet.protocol, packet.transportAt, packet.end], [UDP, 72, 72 + datagram6.length]);
    assert.equal(packet.fragmentAt, -1, "a fragment that is the whole packet is none (RFC 6946)");
  });

  it("tell a fragment, and want the whole header chain in the first (RFC 7112)", () => {
    const first = read(ipv6({ ...six, protocol: UDP, more: true }, datagram6));
    assert.deepEqual(
      [first.reading, first.packet.fragmentAt, first.packet.transportAt],
      [Reading.ok, 40, 48],
    );
    const later = read(ipv6({ ...six, protocol: UDP, offset: 8 }, Buffer.alloc(3)));
    assert.deepEqual([later.reading, later.packet.fragmentAt], [Reading.ok, 40]);
    const tiny = read(ipv6({ ...six, protocol: Protocol.tcp, more: true }, Buffer.alloc(16)));
    assert.equal(tiny.reading, Reading.malformed);
    const cut = read(
      ipv6({ ...six, protocol: DESTINATION, more: true }, extension(UDP, [1, 20]).subarray(0, 8)),
    );
    assert.equal(cut.reading, Reading.malformed);
  });

  it("are refused when too long, too many, cut off, or fragmented twice", () => {
    const chain = (count: number) =>
      Buffer.concat([
        ...Array.from({ length: count }, (_, i) => extension(i === count - 1 ? UDP : DESTINATION, [1, 4])),
        datagram6,
      ]);
    assert.equal(readIpv6(DESTINATION, chain(8)).reading, Reading.ok);
    assert.equal(readIpv6(DESTINATION, chain(9)).reading, Reading.malformed);
    const long = extension(UDP, new Array<number>(1200).fill(0));
    assert.equal(readIpv6(DESTINATION, long, datagram6).reading, Reading.malformed);
    assert.equal(readIpv6(DESTINATION, Buffer.of(UDP, 9, 1, 4, 0, 0, 0, 0)).reading, Reading.malformed);
    assert.equal(readIpv6(DESTINATION).reading, Reading.malformed);
    const fragment = Buffer.of(FRAGMENT, 0, 0, 0, 0, 0, 0, 1);
    assert.equal(readIpv6(FRAGMENT, fragment, fragment, datagram6).reading, Reading.malformed);
    assert.equal(read(ipv6({ ...six, protocol: UDP }, datagram6).subarray(0, 45)).reading, Reading.malformed);
  });

  it("follow the type of options that we don't know", () => {
    const option = (type: number) =>
      readIpv6(DESTINATION, extension(UDP, [1, 0, type, 0]), datagram6).reading;
    assert.equal(option(0x05), Reading.ok);
    assert.equal(option(0x45), Reading.discarded);
    assert.equal(option(0x85), Reading.problem);
    assert.deepEqual([reader.problemCode, reader.problemAt], [ProblemCode.option, 44]);
    const overlong = readIpv6(DESTINATION, extension(UDP, [5, 9, 0, 0, 0, 0]), datagram6);
    assert.equal(overlong.reading, Reading.malformed);
  });

  it("answer a route to be followed, and hop-by-hop options that do not come first", () => {
    assert.equal(readIpv6(ROUTING, extension(UDP, [0, 1]), datagram6).reading, Reading.problem);
    assert.deepEqual([reader.problemCode, reader.problemAt], [ProblemCode.field, 42]);
    const late = readIpv6(DESTINATION, extension(HOP, [1, 4]), extension(UDP, [1, 4]), datagram6);
    assert.equal(late.reading, Reading.problem);
    assert.deepEqual([reader.problemCode, reader.problemAt], [ProblemCode.nextHeader, 40]);
  });

  it("end in silence where nothing follows", () => {
    assert.equal(readIpv6(NONE).reading, Reading.discarded);
  });

  it("are refused from and to addresses that no host has", () => {
    const reading = (header: Partial<SampleHeader>) =>
      read(ipv6({ ...six, protocol: UDP, ...header }, datagram6)).reading;
    for (const source of ["::", "::1", "ff02::1", "::7f00:1", six.target]) {
      assert.equal(reading({ source }), Reading.martian, source);
    }
    assert.equal(reading({ target: "ff02::fb" }), Reading.multicast);
    const mapped = ipv6({ ...six, protocol: UDP }, datagram6);
    mapped.set([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1], 24);
    assert.equal(read(mapped).reading, Reading.martian, "IPv4 mapped into IPv6");
  });
});

describe("any bytes at all", () => {
  it("are read without leaving their packet, and what is found lies within it", () => {
    const versioned = fc
      .tuple(fc.constantFrom(0x45, 0x46, 0x4f, 0x60), fc.uint8Array({ minLength: 0, maxLength: 120 }))
      .map(([first, rest]) => Buffer.of(first, ...rest));
    fc.assert(
      fc.property(versioned, fc.boolean(), (bytes, mend) => {
        // Most would end at a length or a sum: half of them are mended, so that they are read on.
        if (mend && bytes.length >= 40) {
          const isIpv4 = bytes[0]! >> 4 === 4;
          bytes.writeUInt16BE(bytes.length - (isIpv4 ? 0 : 40), isIpv4 ? 2 : 4);
          if (isIpv4) withByte(bytes, 8, 64);
          else bytes[6] = [0, 43, 44, 60, 17][bytes[6]! % 5]!;
        }
        const { reading, packet } = read(guarded(bytes));
        if (reading === Reading.ok) {
          assert.ok(packet.start < packet.transportAt && packet.transportAt <= packet.end);
          assert.ok(packet.end <= bytes.length);
          assert.ok(packet.fragmentAt < packet.transportAt);
        }
        if (reading === Reading.problem) assert.ok(reader.problemAt < bytes.length);
      }),
      { numRuns: 5000 },
    );
  });
});

/** Reading beyond the end throws. */
function guarded(bytes: Buffer): Buffer {
  return new Proxy(bytes, {
    get(target, key) {
      if (typeof key === "string" && /^\d+$/.test(key)) {
        assert.ok(Number(key) < target.length, `byte ${key} of ${target.length}`);
      }
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === "function" ? (value as () => unknown).bind(target) : value;
    },
  });
}
