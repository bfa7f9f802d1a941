import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { Endpoint } from "../endpoint.ts";
import { Checksum } from "./device.ts";
import type { Refusal, UdpSource } from "./handler.ts";
import { IpReader, Reading } from "./ip/reader.ts";
import { Reassembly } from "./ip/reassembly.ts";
import {
  icmp,
  internetSum,
  ip,
  packetOf,
  pseudoHeader,
  type SampleFlow,
  udp,
  udpDatagram,
} from "./ip/sample-packets.ts";
import { PacketCollector } from "./packet-collector.ts";
import { SampleBurst } from "./sample-burst.ts";
import { Stack, type StackLimits } from "./stack.ts";
import { UDP_LIMITS } from "./udp/udp-layer.ts";

const flows = {
  4: { source: "10.0.0.2", sourcePort: 40_000, target: "192.0.2.1", targetPort: 443 },
  6: { source: "fd00::2", sourcePort: 40_000, target: "2001:db8::1", targetPort: 443 },
} as const;

interface Datagram {
  readonly source: UdpSource;
  readonly target: Endpoint;
  readonly payload: string;
}

interface Settings {
  readonly limits?: Partial<StackLimits>;
  readonly mtu?: number;
  /** What becomes of a datagram. */
  readonly onDatagram?: (datagram: Datagram) => void;
  readonly echo?: (target: string, reachable: (yes: boolean) => void) => void;
}

/** A stack with a clock of its own, and what it told its handler. */
class Bench {
  now = 0;
  readonly device: PacketCollector;
  readonly stack: Stack;
  readonly sources: UdpSource[] = [];
  readonly datagrams: Datagram[] = [];
  readonly closed: UdpSource[] = [];
  outputs = 0;

  constructor({ limits, mtu = 1500, onDatagram, echo }: Settings = {}) {
    this.device = new PacketCollector({ mtu });
    this.stack = new Stack({
      device: this.device,
      limits,
      now: () => this.now,
      onOutput: () => this.outputs++,
      handler: {
        tcp: (attempt) => attempt.refuse("refused"),
        udp: (source) => {
          this.sources.push(source);
          source.onDatagram = (target, payload) => {
            const datagram = { source, target, payload: payload.toString("latin1") };
            this.datagrams.push(datagram);
            onDatagram?.(datagram);
          };
          source.onClose = () => this.closed.push(source);
        },
        echo,
      },
    });
  }

  /** @returns what the stack answers at once. */
  give(...packets: readonly Buffer[]): Buffer[] {
    this.stack.receive(SampleBurst.of(...packets));
    return this.device.take();
  }

  flush(): Buffer[] {
    this.stack.flush();
    return this.device.take();
  }

  advance(ms: number): void {
    this.now += ms;
    this.stack.advance(this.now);
  }
}

/** The transport's bytes of a packet from the stack, whose headers and sums must be right. */
function transportOf(bytes: Buffer): { protocol: number; body: Buffer; source: string; target: string } {
  const packet = packetOf(bytes);
  assert.equal(new IpReader().read(packet), Reading.ok);
  assert.equal(packet.end, bytes.length);
  const body = bytes.subarray(packet.transportAt);
  const isIpv4 = packet.version === 4;
  const [source, target] = addressesOf(bytes);
  if (packet.fragmentAt === -1) {
    const pseudo =
      packet.protocol === 1
        ? Buffer.alloc(0)
        : pseudoHeader({ source, target }, packet.protocol, body.length);
    assert.equal(internetSum([pseudo, body]), 0, "the sum is wrong");
  }
  assert.equal(isIpv4, source.includes("."));
  return { protocol: packet.protocol, body, source, target };
}

/** The packet that the stack has sent, in fragments or in one piece. */
function reassembled(packets: readonly Buffer[]): Buffer {
  if (packets.length === 1) return packets[0]!;
  const reassembly = new Reassembly();
  const wholes = packets.map((bytes) => {
    const packet = packetOf(bytes);
    assert.equal(new IpReader().read(packet), Reading.ok);
    return reassembly.add(packet, 0);
  });
  return wholes.at(-1)!;
}

function addressesOf(bytes: Buffer): [string, string] {
  if (bytes[0]! >> 4 === 4)
    return [[...bytes.subarray(12, 16)].join("."), [...bytes.subarray(16, 20)].join(".")];
  const text = (at: number) => {
    const groups = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(at + 2 * i).toString(16));
    return new URL(`http://[${groups.join(":")}]`).hostname.slice(1, -1);
  };
  return [text(8), text(24)];
}

for (const version of [4, 6] as const) {
  const flow = flows[version];
  const back = { source: flow.target, target: flow.source };
  const unreachable = version === 4 ? 3 : 1;

  describe(`UDP over IPv${version}`, () => {
    it("tells the handler of each source once, of each datagram with its target, whatever the target", () => {
      const bench = new Bench();
      bench.give(udp(flow, "one"), udp({ ...flow, targetPort: 80 }, "two"));
      bench.give(udp(flow, ""), udp({ ...flow, sourcePort: 40_001 }, "other"));
      assert.deepEqual(
        bench.sources.map(({ source }) => source),
        [
          { host: flow.source, port: 40_000 },
          { host: flow.source, port: 40_001 },
        ],
      );
      assert.deepEqual(
        bench.datagrams.map(({ target, payload }) => [target.host, target.port, payload]),
        [
          [flow.target, 443, "one"],
          [flow.target, 80, "two"],
          [flow.target, 443, ""],
          [flow.target, 443, "other"],
        ],
      );
    });

    it("delivers from any address of the family, sums left to the device, and says that something waits", () => {
      const bench = new Bench();
      bench.give(udp(flow));
      const [source] = bench.sources;
      const other = version === 4 ? "198.51.100.9" : "2001:db8::9";
      source!.deliver({ host: other, port: 9 }, Buffer.from("odd"));
      assert.equal(bench.outputs, 1);
      assert.deepEqual(bench.device.take(), [], "nothing leaves before flush()");
      const [packet, ...more] = bench.flush();
      assert.equal(more.length, 0);
      const expected = { source: other, sourcePort: 9, target: flow.source, targetPort: 40_000 };
      assert.deepEqual(transportOf(packet!).body, udpDatagram(expected, Buffer.from("odd")));
      source!.deliver({ host: version === 4 ? "2001:db8::9" : "198.51.100.9", port: 9 }, Buffer.from("x"));
      source!.deliver({ host: "a.name", port: 9 }, Buffer.from("x"));
      for (const host of ["127.0.0.1", "::1", "224.0.0.1", "ff02::1", "0.0.0.0", "::"]) {
        source!.deliver({ host, port: 9 }, Buffer.from("x"));
      }
      assert.deepEqual(bench.flush(), [], "another family, or no host's address, is dropped");
    });

    it("cuts an answer larger than the MTU into fragments that a host puts together again", () => {
      fc.assert(
        fc.property(fc.integer({ min: 1400, max: 9000 }), fc.constantFrom(1280, 1500), (size, mtu) => {
          const bench = new Bench({ mtu });
          bench.give(udp(flow));
          const payload = Buffer.from(Array.from({ length: size }, (_, i) => i & 0xff));
          bench.sources[0]!.deliver({ host: flow.target, port: 443 }, payload);
          const packets = bench.flush();
          assert.ok(packets.length > 1 || size + 48 <= mtu);
          const whole = reassembled(packets.reverse());
          const expected = { ...flow, ...back, sourcePort: 443, targetPort: 40_000 };
          assert.deepEqual(transportOf(whole).body, udpDatagram(expected, payload));
        }),
        { numRuns: 30 },
      );
    });

    it("drops an answer that no datagram can hold", () => {
      const bench = new Bench();
      bench.give(udp(flow));
      bench.sources[0]!.deliver({ host: flow.target, port: 443 }, Buffer.alloc(65_528));
      assert.deepEqual(bench.flush(), []);
    });

    it("says port unreachable at once where the handler refuses, and quotes the datagram", () => {
      const codes: [Refusal, number][] =
        version === 4
          ? [
              ["refused", 3],
              ["unreachable", 1],
              ["prohibited", 13],
            ]
          : [
              ["refused", 4],
              ["unreachable", 3],
              ["prohibited", 1],
            ];
      for (const [why, code] of codes) {
        const bench = new Bench({ onDatagram: ({ source, target }) => source.refuse(target, why) });
        const offender = udp(flow, "x".repeat(3000));
        const [answer, ...more] = bench.give(offender);
        assert.equal(more.length, 0);
        const { body, source, target } = transportOf(answer!);
        assert.deepEqual([source, target], [back.source, back.target]);
        assert.deepEqual([body[0], body[1]], [unreachable, code]);
        assert.equal(answer!.length, version === 4 ? 576 : 1280);
        assert.deepEqual(body.subarray(8), offender.subarray(0, body.length - 8));
      }
    });

    it("quotes a likeness of a datagram that is refused later", () => {
      const bench = new Bench();
      bench.give(udp(flow), udp({ ...flow, targetPort: 80 }));
      const [source] = bench.sources;
      source!.refuse({ host: flow.target, port: 443 }, "refused");
      const { body } = transportOf(bench.flush()[0]!);
      const original = ip({ ...flow, protocol: 17 }, udpDatagram(flow, Buffer.alloc(0)));
      const quoted = body.subarray(8);
      const addresses = version === 4 ? [12, 20] : [8, 40];
      assert.deepEqual(quoted.subarray(...addresses), original.subarray(...addresses));
      assert.deepEqual(
        quoted.subarray(addresses[1], addresses[1]! + 4),
        original.subarray(addresses[1], addresses[1]! + 4),
      );
      assert.deepEqual([quoted[0], quoted[version === 4 ? 9 : 6]], [original[0], 17]);
    });

    it("drops what is malformed, to port 0, or has a wrong sum", () => {
      const bench = new Bench();
      const wrong = udp(flow);
      wrong[wrong.length - 1]! ^= 1;
      const long = udpDatagram(flow, Buffer.from("hello"));
      long.writeUInt16BE(14, 4);
      const short = udpDatagram(flow, Buffer.from("hello"));
      short.writeUInt16BE(7, 4);
      bench.give(
        wrong,
        ip({ ...flow, protocol: 17 }, long),
        ip({ ...flow, protocol: 17 }, short),
        ip({ ...flow, protocol: 17 }, Buffer.alloc(7)),
        udp({ ...flow, targetPort: 0 }),
        udp({ ...flow, sourcePort: 0 }),
      );
      assert.deepEqual(bench.datagrams, []);
      assert.equal(bench.stack.stats.malformed, 6);
    });

    it("believes the device where it knows the sum: a partial one is not taken for a wrong one", () => {
      const bench = new Bench();
      const partial = udp(flow);
      partial.writeUInt16BE(0x1234, version === 4 ? 26 : 46);
      const burst = SampleBurst.of(partial, partial);
      burst.checksums.set([Checksum.good, Checksum.bad]);
      bench.stack.receive(burst);
      assert.equal(bench.datagrams.length, 1);
    });

    it(version === 4 ? "takes a datagram without a sum" : "drops a datagram without a sum (RFC 8200)", () => {
      const bench = new Bench();
      const datagram = udpDatagram(flow, Buffer.from("hello"));
      datagram.writeUInt16BE(0, 6);
      bench.give(ip({ ...flow, protocol: 17 }, datagram));
      assert.equal(bench.datagrams.length, version === 4 ? 1 : 0);
    });

    it("puts a datagram together from fragments", () => {
      const bench = new Bench();
      const datagram = udpDatagram(flow, Buffer.from("a".repeat(2000)));
      const header = { ...flow, protocol: 17, id: 77 };
      const halves = [
        ip({ ...header, offset: 0, more: true }, datagram.subarray(0, 1200)),
        ip({ ...header, offset: 1200 }, datagram.subarray(1200)),
      ];
      bench.give(halves[1]!);
      assert.ok(bench.stack.next() < Infinity);
      bench.give(halves[0]!);
      assert.equal(bench.datagrams[0]?.payload, "a".repeat(2000));
    });

    it("closes a source that was quiet for its idle time, sooner if it only asked name servers", () => {
      const { idleMs, dnsIdleMs } = UDP_LIMITS;
      const bench = new Bench();
      const asker = { ...flow, targetPort: 53, sourcePort: 1 };
      const former = { ...asker, sourcePort: 2 };
      bench.give(udp(asker), udp(former), udp({ ...former, targetPort: 443 }), udp(flow));
      const ports = () => bench.closed.map(({ source }) => source.port);
      bench.advance(dnsIdleMs - 1);
      assert.deepEqual(ports(), []);
      assert.equal(bench.stack.next(), dnsIdleMs);
      bench.advance(1);
      assert.deepEqual(ports(), [1]);
      bench.give(udp(flow));
      bench.advance(idleMs - dnsIdleMs);
      assert.deepEqual(ports(), [1, 2]);
      bench.sources[2]!.deliver({ host: flow.target, port: 443 }, Buffer.from("answer"));
      bench.advance(dnsIdleMs);
      assert.deepEqual(ports(), [1, 2], "an answer counts as much");
      bench.advance(idleMs);
      assert.deepEqual(ports(), [1, 2, 40_000]);
      assert.deepEqual([bench.stack.stats.udpSources, bench.stack.next()], [0, Infinity]);
      bench.give(udp(flow));
      assert.equal(bench.sources.length, 4, "the next datagram begins a new one");
    });

    it("keeps to its caps by closing what was quiet longest, of the host first", () => {
      const bench = new Bench({ limits: { udp: { ...UDP_LIMITS, sources: 4, sourcesPerHost: 2 } } });
      const other = version === 4 ? "10.0.0.3" : "fd00::3";
      const third = version === 4 ? "10.0.0.4" : "fd00::4";
      const closed = () => bench.closed.map(({ source }) => `${source.host} ${source.port}`);
      const from = (source: string, sourcePort: number): void => {
        bench.now += 2000;
        bench.give(udp({ ...flow, source, sourcePort }));
      };
      from(other, 1);
      from(flow.source, 1);
      from(flow.source, 2);
      from(flow.source, 1);
      from(flow.source, 3);
      assert.deepEqual(closed(), [`${flow.source} 2`]);
      from(other, 2);
      from(third, 1);
      assert.deepEqual(closed(), [`${flow.source} 2`, `${other} 1`]);
      assert.deepEqual([bench.stack.stats.udpSources, bench.stack.stats.udpEvicted], [4, 2]);
    });

    it("closes a source where its own system says that nobody listens, if its last target is quoted", () => {
      const bench = new Bench();
      bench.give(udp(flow));
      const answer = (source: string) =>
        udp({ source, sourcePort: 443, target: flow.source, targetPort: 40_000 });
      const told = (quoted: Buffer) =>
        icmp({ source: flow.source, target: flow.target }, [unreachable, version === 4 ? 3 : 4, 0], quoted);
      bench.give(told(answer(version === 4 ? "192.0.2.77" : "2001:db8::77")));
      assert.equal(bench.closed.length, 0);
      bench.give(told(answer(flow.target)));
      assert.equal(bench.closed.length, 1);
    });

    it("tells every source when the stack closes, and takes nothing afterwards", () => {
      const bench = new Bench();
      bench.give(udp(flow), udp({ ...flow, sourcePort: 1 }));
      bench.sources[0]!.close();
      bench.stack.close();
      assert.deepEqual(bench.closed, [bench.sources[1]]);
      bench.give(udp(flow));
      bench.sources[1]!.deliver({ host: flow.target, port: 1 }, Buffer.from("late"));
      assert.deepEqual([bench.sources.length, bench.flush().length], [2, 0]);
    });

    it("opens nothing for a source that the handler closes at once", () => {
      const device = new PacketCollector();
      const handler = { tcp: () => {}, udp: (source: UdpSource) => source.close() };
      const stack = new Stack({ device, handler, now: () => 0 });
      stack.receive(SampleBurst.of(udp(flow), udp(flow)));
      assert.equal(stack.stats.udpSources, 0);
    });
  });

  describe(`ICMP of IPv${version}`, () => {
    const [echo, reply] = version === 4 ? [8, 0] : [128, 129];
    const way = { source: flow.source, target: flow.target };

    it("answers an echo request once the handler says that the target is reachable, with its payload", () => {
      const asked: [string, (yes: boolean) => void][] = [];
      const bench = new Bench({ echo: (target, reachable) => asked.push([target, reachable]) });
      const payload = Buffer.from("p".repeat(3000));
      assert.deepEqual(bench.give(icmp(way, [echo, 0, 0x12340001], payload)), []);
      assert.equal(asked[0]![0], flow.target);
      asked[0]![1](true);
      asked[0]![1](true);
      assert.equal(bench.outputs, 1);
      const packets = bench.flush();
      assert.ok(packets.length > 1, "it is larger than the MTU");
      const { body } = transportOf(reassembled(packets));
      assert.deepEqual(body.subarray(4), Buffer.concat([Buffer.of(0x12, 0x34, 0, 1), payload]));
      assert.equal(bench.stack.stats.echoReplies, 1);
    });

    it("answers nothing for an unreachable target, too late, or without a handler for it", () => {
      const asked: ((yes: boolean) => void)[] = [];
      const bench = new Bench({ echo: (_target, reachable) => asked.push(reachable) });
      bench.give(icmp(way, [echo, 0, 1], Buffer.from("a")), icmp(way, [echo, 0, 2], Buffer.from("b")));
      asked[0]!(false);
      bench.advance(5000);
      asked[1]!(true);
      assert.deepEqual(bench.flush(), []);
      assert.deepEqual(new Bench().give(icmp(way, [echo, 0, 1], Buffer.from("a"))), []);
    });

    it("answers at once where the handler does, in one piece", () => {
      const bench = new Bench({ echo: (_target, reachable) => reachable(true) });
      const [packet] = bench.give(icmp(way, [echo, 0, 0xabcd0002], Buffer.from("ping!")));
      const { body, source, target } = transportOf(packet!);
      assert.deepEqual([source, target], [back.source, back.target]);
      assert.deepEqual(body.subarray(4), Buffer.from([0xab, 0xcd, 0, 2, ...Buffer.from("ping!")]));
      assert.deepEqual([body[0], body[1]], [reply, 0]);
    });

    it("keeps few requests waiting", () => {
      let asked = 0;
      const bench = new Bench({ echo: () => asked++ });
      for (let i = 0; i < 1000; i++) bench.give(icmp(way, [echo, 0, i], Buffer.alloc(8)));
      assert.equal(asked, 128);
    });

    it("says which protocol it does not know", () => {
      const offender = ip({ ...way, protocol: 132 }, Buffer.alloc(40, 1));
      const { body } = transportOf(new Bench().give(offender)[0]!);
      const expected = version === 4 ? [3, 2, 0, 0] : [4, 1, 0, 6];
      assert.deepEqual([body[0], body[1], body[6], body[7]], expected);
      assert.deepEqual(body.subarray(8), offender);
    });

    it("never answers an error, a group, a later fragment or an address that no host has", () => {
      const refuse = ({ source, target }: Datagram) => source.refuse(target, "refused");
      const bench = new Bench({ onDatagram: refuse });
      const group = version === 4 ? "239.1.1.1" : "ff02::1";
      const nobody = version === 4 ? "127.0.0.1" : "::1";
      const answers = bench.give(
        icmp(way, [unreachable, 0, 0], Buffer.alloc(48, 0x45)),
        icmp(way, [version === 4 ? 11 : 3, 0, 0], Buffer.alloc(48, 0x45)),
        udp({ ...flow, target: group }),
        udp({ ...flow, source: nobody }),
        ip({ ...way, protocol: 132, offset: 16, more: true }, Buffer.alloc(16)),
      );
      assert.deepEqual(answers, []);
      assert.equal(bench.stack.stats.icmpErrors, 0);
    });

    it("tells no more errors than its limit allows, and again after a while", () => {
      const refuse = ({ source, target }: Datagram) => source.refuse(target, "refused");
      const bench = new Bench({ onDatagram: refuse, limits: { icmpErrors: { perSecond: 100, burst: 10 } } });
      const flood = Array.from({ length: 500 }, () => udp(flow));
      assert.equal(bench.give(...flood).length, 10);
      bench.now += 50;
      assert.equal(bench.give(...flood).length, 5);
      assert.equal(bench.stack.stats.icmpErrorsSuppressed, 985);
    });

    it("drops a message with a wrong sum, or cut short", () => {
      const bench = new Bench({ echo: (_target, reachable) => reachable(true) });
      const wrong = icmp(way, [echo, 0, 1], Buffer.from("a"));
      wrong[wrong.length - 1]! ^= 1;
      const short = ip({ ...way, protocol: version === 4 ? 1 : 58 }, Buffer.of(echo, 0, 0));
      assert.deepEqual(bench.give(wrong, short), []);
      assert.equal(bench.stack.stats.malformed, 2);
    });
  });
}

describe("IPv6 alone", () => {
  const flow: SampleFlow = flows[6];

  it("answers an option that it must not skip by a parameter problem that points at it", () => {
    const options = Buffer.of(17, 0, 0x85, 0, 1, 2, 0, 0);
    const offender = ip(
      { ...flow, protocol: 60 },
      Buffer.concat([options, udpDatagram(flow, Buffer.from("x"))]),
    );
    const { body } = transportOf(new Bench().give(offender)[0]!);
    assert.deepEqual([body[0], body[1], body.readUInt32BE(4)], [4, 2, 42]);
  });

  it("cuts datagrams smaller once it heard that they are too big, down to 1280 bytes", () => {
    const bench = new Bench({ mtu: 9000 });
    bench.give(udp(flow));
    const answer = { source: flow.target, sourcePort: 443, target: flow.source, targetPort: flow.sourcePort };
    bench.sources[0]!.deliver({ host: flow.target, port: 443 }, Buffer.alloc(3000));
    assert.equal(bench.flush().length, 1);
    const tooBig = icmp(
      { source: "2001:db8::ff", target: flow.target },
      [2, 0, 600],
      udp(answer, "x".repeat(1000)),
    );
    bench.give(tooBig);
    bench.sources[0]!.deliver({ host: flow.target, port: 443 }, Buffer.alloc(3000));
    const packets = bench.flush();
    assert.deepEqual(
      packets.map(({ length }) => length <= 1280),
      [true, true, true],
    );
  });
});
