import { randomBytes } from "node:crypto";
import type { PacketBurst, PacketDevice, PacketWriter } from "./device.ts";
import { Checksum } from "./device.ts";
import type { StackHandler } from "./handler.ts";
import { ECHO_LIMITS, EchoReplies, type EchoLimits } from "./icmp/echo.ts";
import { ICMP_ERROR_LIMITS, type IcmpErrorLimits, IcmpErrors } from "./icmp/errors.ts";
import { IcmpLayer } from "./icmp/icmp-layer.ts";
import { IpOutput } from "./ip/output.ts";
import { IpPacket, Protocol } from "./ip/packet.ts";
import { IpReader, Reading } from "./ip/reader.ts";
import { Reassembly, REASSEMBLY_LIMITS, type ReassemblyLimits } from "./ip/reassembly.ts";
import { TcpLayer } from "./tcp/layer.ts";
import type { TcpCounters, TcpLimits } from "./tcp/limits.ts";
import { TimerQueue } from "./timers.ts";
import { UDP_LIMITS, UdpLayer, type UdpLimits } from "./udp/udp-layer.ts";

/** What the applications behind the device can make grow, each with its cap. */
export interface StackLimits {
  readonly tcp: Partial<TcpLimits>;
  readonly udp: UdpLimits;
  readonly echo: EchoLimits;
  readonly icmpErrors: IcmpErrorLimits;
  readonly reassembly: ReassemblyLimits;
}

export interface StackOptions {
  readonly device: PacketWriter & Pick<PacketDevice, "mtu" | "segmentation" | "lost">;
  readonly handler: StackHandler;
  /** Default: those that each layer names. */
  readonly limits?: Partial<StackLimits> | undefined;
  /** Milliseconds of a clock that never goes back. */
  readonly now: () => number;
  /** From 0 to below 1. Default Math.random: what must not be guessed does not come from it. */
  readonly random?: (() => number) | undefined;
  /** 32 random bytes that nobody else knows. Default: new ones. */
  readonly secret?: Uint8Array | undefined;
  /** Told when something is to be sent outside of receive() and advance(): flush() is due, after which next() has changed. */
  readonly onOutput?: (() => void) | undefined;
}

export interface StackStats {
  packets: number;
  /** Packets whose headers contradict themselves or name no host, and those dropped by a transport. */
  malformed: number;
  martian: number;
  /** To groups and of protocols that nobody carries. */
  unwanted: number;
  /** Packets of ours that the device did not take. */
  readonly lost: number;
  readonly fragmentsDropped: number;
  readonly reassembling: { readonly packets: number; readonly bytes: number };
  /** TCP connections, and SYNs that wait for their answer. */
  readonly tcp: number;
  readonly tcpAttempts: number;
  /** Those SYNs, and connections whose SYN-ACK has not been acknowledged. */
  readonly tcpHalfOpen: number;
  readonly tcpCounters: Readonly<TcpCounters>;
  readonly udpSources: number;
  readonly udpEvicted: number;
  readonly icmpErrors: number;
  readonly icmpErrorsSuppressed: number;
  readonly echoReplies: number;
}

/**
 * A host that has every address: packets in, connections and datagrams to the handler, packets out. It knows no socket and no
 * timer: whoever drives it hands in bursts, calls advance() at next(), and flushes.
 */
export class Stack {
  readonly #options: StackOptions;
  readonly #reader = new IpReader();
  readonly #packet = new IpPacket();
  readonly #reassembly: Reassembly;
  readonly #errors: IcmpErrors;
  readonly #echo: EchoReplies;
  readonly #icmp: IcmpLayer;
  readonly #udp: UdpLayer;
  readonly #tcp: TcpLayer;
  readonly #timers = new TimerQueue();
  /** The time of the turn under way. */
  #time: number;
  #inTurn = false;
  #closed = false;
  readonly #counts = { packets: 0, malformed: 0, martian: 0, unwanted: 0 };

  constructor(options: StackOptions) {
    const { device, handler, limits = {}, random = Math.random } = options;
    this.#options = options;
    this.#time = options.now();
    const output = new IpOutput(device, random);
    const onOutput = () => this.#onOutput();
    const now = () => this.#now();
    const { mtu } = device;
    this.#reassembly = new Reassembly(limits.reassembly ?? REASSEMBLY_LIMITS);
    this.#errors = new IcmpErrors(output, limits.icmpErrors ?? ICMP_ERROR_LIMITS);
    this.#echo = new EchoReplies({
      output,
      mtu,
      ask: handler.echo && ((target, reachable) => handler.echo?.(target, reachable)),
      onOutput,
      limits: limits.echo ?? ECHO_LIMITS,
    });
    this.#udp = new UdpLayer(
      { output, errors: this.#errors, mtu, handler, random, now, onOutput },
      limits.udp ?? UDP_LIMITS,
    );
    this.#tcp = new TcpLayer({
      writer: device,
      timers: this.#timers,
      now: options.now,
      secret: options.secret ?? randomBytes(32),
      onAttempt: (attempt) => handler.tcp(attempt),
      wake: onOutput,
      refuseUnreachable: (syn, why) => this.#errors.unreachableOf(syn, why, now()),
      limits: limits.tcp ?? {},
    });
    this.#icmp = new IcmpLayer(this.#echo, {
      portUnreachable: (quoted) => {
        if (quoted.protocol === Protocol.udp) this.#udp.unreachable(quoted);
      },
      // A connection's segments are no larger than the application's own system said that it takes, and nothing but that
      // system is behind the device: there is no narrower way to find, and a forged error would cost speed (RFC 5927 §7).
      packetTooBig: (quoted, size) => {
        if (quoted.protocol === Protocol.udp) this.#udp.packetTooBig(quoted, size);
      },
    });
  }

  get stats(): StackStats {
    return {
      ...this.#counts,
      malformed: this.#counts.malformed + this.#udp.dropped + this.#icmp.dropped + this.#tcp.counters.bad,
      lost: this.#options.device.lost ?? 0,
      fragmentsDropped: this.#reassembly.dropped,
      reassembling: this.#reassembly.held,
      tcp: this.#tcp.size - this.#tcp.attempts,
      tcpAttempts: this.#tcp.attempts,
      tcpHalfOpen: this.#tcp.halfOpen,
      tcpCounters: this.#tcp.counters,
      udpSources: this.#udp.sources,
      udpEvicted: this.#udp.evicted,
      icmpErrors: this.#errors.sent,
      icmpErrorsSuppressed: this.#errors.suppressed,
      echoReplies: this.#echo.answered,
    };
  }

  /** Changes limits of TCP and UDP while it runs; those that are not given stay as they are. */
  setLimits({ tcp, udp }: Pick<Partial<StackLimits>, "tcp" | "udp">): void {
    if (tcp) this.#tcp.setLimits(tcp);
    if (udp) this.#udp.setLimits(udp);
  }

  /** Takes packets as they came. What they are answered with has left when this returns. */
  receive(burst: PacketBurst): void {
    if (this.#closed) return;
    this.#begin();
    const packet = this.#packet;
    try {
      for (let i = 0; i < burst.count; i++) {
        packet.bytes = burst.bytes;
        packet.start = burst.starts[i]!;
        packet.end = packet.start + burst.lengths[i]!;
        packet.checksum = burst.checksums[i]!;
        this.#arrive(packet);
      }
    } finally {
      this.#end();
    }
  }

  /** Does what is due at `now`. */
  advance(now: number): void {
    if (this.#closed) return;
    this.#begin();
    this.#time = now;
    try {
      this.#timers.run(now);
      this.#reassembly.advance(now);
      this.#echo.advance(now);
      this.#udp.advance(now);
    } finally {
      this.#end();
    }
  }

  /** When advance() is next to be called; Infinity while nothing waits. */
  next(): number {
    return Math.min(this.#timers.next(), this.#reassembly.next(), this.#echo.next(), this.#udp.next());
  }

  /** Sends what was put out since the turn before. */
  flush(): void {
    if (this.#closed) return;
    this.#begin();
    this.#end();
  }

  /**
   * Ends all of TCP: streams and attempts hear it, and so does the applications' system, by RSTs. What it does not believe it
   * asks about (RFC 5961 §3.2), and it is answered as long as the stack goes on.
   */
  reset(): void {
    if (this.#closed) return;
    this.#begin();
    this.#tcp.reset();
    this.#end();
  }

  /** Ends everything, as reset() does, and sources hear it. Nothing comes or goes after it. */
  close(): void {
    if (this.#closed) return;
    this.#begin();
    this.#tcp.reset();
    this.#udp.close();
    this.#echo.close();
    this.#end();
    this.#closed = true;
  }

  #begin(): void {
    this.#inTurn = true;
    this.#time = this.#options.now();
  }

  #end(): void {
    this.#tcp.endBurst();
    this.#options.device.flush();
    this.#inTurn = false;
  }

  /** One reading of the clock serves a whole turn. */
  #now(): number {
    if (!this.#inTurn) this.#time = this.#options.now();
    return this.#time;
  }

  #onOutput(): void {
    if (!this.#inTurn) this.#options.onOutput?.();
  }

  #arrive(packet: IpPacket): void {
    this.#counts.packets++;
    if (!this.#read(packet)) return;
    if (packet.fragmentAt !== -1) {
      const whole = this.#reassembly.add(packet, this.#time);
      if (!whole) return;
      packet.bytes = whole;
      packet.start = 0;
      packet.end = whole.length;
      packet.checksum = Checksum.unknown;
      // Fragments of fragments are nobody's.
      if (!this.#read(packet) || packet.fragmentAt !== -1) return;
    }
    this.#hand(packet);
  }

  /** @returns true for a packet, or fragment, to go on with. */
  #read(packet: IpPacket): boolean {
    const reader = this.#reader;
    switch (reader.read(packet)) {
      case Reading.ok:
        return true;
      case Reading.malformed:
        this.#counts.malformed++;
        return false;
      case Reading.martian:
        this.#counts.martian++;
        return false;
      case Reading.problem:
        this.#counts.malformed++;
        this.#errors.problem(packet, reader.problemCode, reader.problemAt, this.#time);
        return false;
      default:
        this.#counts.unwanted++;
        return false;
    }
  }

  #hand(packet: IpPacket): void {
    const { protocol, version } = packet;
    if (protocol === Protocol.tcp) this.#tcp.arrive(packet);
    else if (protocol === Protocol.udp) this.#udp.arrive(packet);
    else if (protocol === (version === 4 ? Protocol.icmp : Protocol.icmp6))
      this.#icmp.arrive(packet, this.#time);
    else {
      this.#counts.unwanted++;
      this.#errors.unknownProtocol(packet, this.#reader.protocolAt, this.#time);
    }
  }
}
