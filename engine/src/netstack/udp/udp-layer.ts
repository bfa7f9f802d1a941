import type { Refusal, StackHandler } from "../handler.ts";
import type { IcmpErrors } from "../icmp/errors.ts";
import { readAddress } from "../ip/addresses.ts";
import type { IpOutput } from "../ip/output.ts";
import type { IpPacket } from "../ip/packet.ts";
import { sumIsRight } from "../ip/verify.ts";
import { Host, Hosts } from "./hosts.ts";
import { type MappingHolder, UdpMapping } from "./udp-mapping.ts";

export interface UdpLimits {
  /** Sources in all; one more, and the one that was quiet longest is closed. */
  readonly sources: number;
  /** Sources of one address. */
  readonly sourcesPerHost: number;
  /** A source is closed after so long without a datagram either way (RFC 4787 REQ-5: 5 minutes are recommended). */
  readonly idleMs: number;
  /** The same for sources that only ever asked name servers (port 53), which take a new port for each question. */
  readonly dnsIdleMs: number;
}

export const UDP_LIMITS: UdpLimits = {
  sources: 16_384,
  sourcesPerHost: 8192,
  idleMs: 300_000,
  dnsIdleMs: 15_000,
};

/** How finely idle time is told: a source that speaks is not put in its new place for each datagram. */
const TOUCH_MS = 1000;

const DNS = 53;

/** What the layer needs of the stack around it. */
export interface UdpSurroundings {
  readonly output: IpOutput;
  readonly errors: IcmpErrors;
  readonly mtu: number;
  readonly handler: StackHandler;
  readonly random: () => number;
  /** The time of the burst or callback under way. */
  readonly now: () => number;
  /** Told when something was put out that nobody has flushed. */
  readonly onOutput: () => void;
}

/** UDP (RFC 768), with one mapping for each source, whatever its targets (RFC 4787). */
export class UdpLayer implements MappingHolder {
  readonly #around: UdpSurroundings;
  #limits: UdpLimits;
  readonly #hosts: Hosts<UdpMapping>;
  /** Sources by how long they have been quiet, longest first: those that only ask name servers, and the others. */
  readonly #askers = new Set<UdpMapping>();
  readonly #others = new Set<UdpMapping>();
  #closed = false;
  /** Datagrams that were malformed. */
  dropped = 0;
  /** Sources that were closed to make room. */
  evicted = 0;

  constructor(around: UdpSurroundings, limits: UdpLimits = UDP_LIMITS) {
    this.#around = around;
    this.#limits = limits;
    this.#hosts = new Hosts(around.random);
  }

  /** Counts for sources that are there already, too; there may be more of them for a while. */
  setLimits(limits: UdpLimits): void {
    this.#limits = limits;
  }

  get sources(): number {
    return this.#askers.size + this.#others.size;
  }

  /** @param packet a whole one. */
  arrive(packet: IpPacket): void {
    const { bytes, transportAt, end } = packet;
    const length = end - transportAt < 8 ? 0 : (bytes[transportAt + 4]! << 8) | bytes[transportAt + 5]!;
    if (length < 8 || transportAt + length > end || !portsAndSumAreSound(packet, length)) {
      this.dropped++;
      return;
    }
    const mapping = this.#mappingOf(packet);
    if (!mapping) return;
    this.#touch(mapping, packet);
    mapping.take(packet, length);
  }

  /**
   * The application's system says that nobody listens at the source of a datagram of its own (ICMP port unreachable). It is
   * believed where the source spoke last with him whose datagram it was: another's says nothing of a connected socket.
   * @param quoted the datagram of ours that is quoted, as far as it is quoted, at least to its ports.
   */
  unreachable(quoted: IpPacket): void {
    const mapping = this.#quotedMapping(quoted);
    if (
      mapping?.spokeLastWith(quoted.bytes, quoted.addressesAt, quoted.bytes.readUInt16BE(quoted.transportAt))
    )
      mapping.end();
  }

  /** A router on the way back says that packets of more than `mtu` bytes do not pass (ICMPv6 packet too big). */
  packetTooBig(quoted: IpPacket, mtu: number): void {
    this.#quotedMapping(quoted)?.lowerMtu(mtu);
  }

  /** Closes what has been quiet for too long. */
  advance(now: number): void {
    expire(this.#askers, now - this.#limits.dnsIdleMs);
    expire(this.#others, now - this.#limits.idleMs);
  }

  /** When advance() next has something to do; Infinity while there is no source. */
  next(): number {
    return Math.min(
      heardAt(this.#askers) + this.#limits.dnsIdleMs,
      heardAt(this.#others) + this.#limits.idleMs,
    );
  }

  close(): void {
    this.#closed = true;
    for (const mapping of [...this.#askers, ...this.#others]) mapping.end();
  }

  /** @internal Puts out a datagram for the application. */
  get around(): UdpSurroundings {
    return this.#around;
  }

  /** @internal */
  heard(mapping: UdpMapping): void {
    const now = this.#around.now();
    if (now - mapping.heardAt < TOUCH_MS) return;
    mapping.heardAt = now;
    moveToEnd(mapping.asksOnly ? this.#askers : this.#others, mapping);
    mapping.host.ports.delete(mapping.port);
    mapping.host.ports.set(mapping.port, mapping);
  }

  /** @internal */
  forget(mapping: UdpMapping): void {
    this.#askers.delete(mapping);
    this.#others.delete(mapping);
    const { host, port } = mapping;
    if (host.ports.get(port) === mapping) host.ports.delete(port);
    if (host.ports.size === 0) this.#hosts.remove(host);
  }

  /** @internal */
  refuse(offender: IpPacket, why: Refusal): void {
    this.#around.errors.unreachable(offender, why, this.#around.now());
    this.#around.onOutput();
  }

  /** The mapping of a packet's source, made if need be; undefined where the handler wants none. */
  #mappingOf(packet: IpPacket): UdpMapping | undefined {
    const { bytes, addressesAt, addressBytes, transportAt } = packet;
    const port = (bytes[transportAt]! << 8) | bytes[transportAt + 1]!;
    const host = this.#hosts.find(bytes, addressesAt, addressBytes);
    const known = host?.ports.get(port);
    if (known) return known;
    if (this.#closed) return undefined;
    this.#makeRoom(host);
    return this.#open(packet, port);
  }

  #open({ bytes, addressesAt, addressBytes, transportAt }: IpPacket, port: number): UdpMapping | undefined {
    // Making room may have taken the last source of the host that was there.
    let host = this.#hosts.find(bytes, addressesAt, addressBytes);
    if (!host) {
      const address = Buffer.from(bytes.subarray(addressesAt, addressesAt + addressBytes));
      host = new Host(address, readAddress(bytes, addressesAt, addressBytes));
      this.#hosts.add(host);
    }
    const mapping = new UdpMapping(this, host, port);
    mapping.heardAt = this.#around.now();
    mapping.asksOnly = targetPort(bytes, transportAt) === DNS;
    host.ports.set(port, mapping);
    (mapping.asksOnly ? this.#askers : this.#others).add(mapping);
    this.#around.handler.udp(mapping);
    return mapping.over ? undefined : mapping;
  }

  #makeRoom(host: Host<UdpMapping> | undefined): void {
    if (host && host.ports.size >= this.#limits.sourcesPerHost) this.#evict(first(host.ports.values()));
    while (this.sources >= this.#limits.sources) {
      const [asker, other] = [first(this.#askers), first(this.#others)];
      this.#evict(!other || (asker && asker.heardAt <= other.heardAt) ? asker : other);
    }
  }

  #evict(mapping: UdpMapping | undefined): void {
    this.evicted++;
    mapping?.end();
  }

  #touch(mapping: UdpMapping, { bytes, transportAt }: IpPacket): void {
    if (mapping.asksOnly && targetPort(bytes, transportAt) !== DNS) {
      mapping.asksOnly = false;
      this.#askers.delete(mapping);
      this.#others.add(mapping);
    }
    this.heard(mapping);
  }

  #quotedMapping({ bytes, addressesAt, addressBytes, transportAt }: IpPacket): UdpMapping | undefined {
    const host = this.#hosts.find(bytes, addressesAt + addressBytes, addressBytes);
    return host?.ports.get(targetPort(bytes, transportAt));
  }
}

/** Nobody can answer port 0, or be there. Only in IPv4 may a datagram have no checksum (RFC 768, RFC 8200 §8.1). */
function portsAndSumAreSound(packet: IpPacket, length: number): boolean {
  const { bytes, transportAt } = packet;
  const sourcePort = (bytes[transportAt]! << 8) | bytes[transportAt + 1]!;
  if (sourcePort === 0 || targetPort(bytes, transportAt) === 0) return false;
  const hasSum = bytes[transportAt + 6] !== 0 || bytes[transportAt + 7] !== 0;
  return hasSum ? sumIsRight(packet, length) : packet.version === 4;
}

function targetPort(bytes: Buffer, transportAt: number): number {
  return (bytes[transportAt + 2]! << 8) | bytes[transportAt + 3]!;
}

function expire(sources: Set<UdpMapping>, before: number): void {
  for (const mapping of sources) {
    if (mapping.heardAt > before) return;
    mapping.end();
  }
}

function heardAt(sources: Set<UdpMapping>): number {
  return first(sources)?.heardAt ?? Infinity;
}

function moveToEnd(sources: Set<UdpMapping>, mapping: UdpMapping): void {
  sources.delete(mapping);
  sources.add(mapping);
}

function first<T>(items: Iterable<T>): T | undefined {
  for (const item of items) return item;
  return undefined;
}
