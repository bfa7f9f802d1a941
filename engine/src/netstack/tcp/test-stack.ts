import { Checksum } from "../device.ts";
import type { TcpAttempt } from "../handler.ts";
import { PacketCollector } from "../packet-collector.ts";
import { TimerQueue } from "../timers.ts";
import { TcpLayer } from "./layer.ts";
import type { TcpLimits } from "./limits.ts";
import { asIpPacket } from "./test-wire.ts";

export interface TestStackOptions {
  readonly mtu?: number;
  readonly segmentation?: boolean;
  readonly limits?: Partial<TcpLimits>;
  readonly refuseUnreachable?: (syn: Buffer, why: "unreachable" | "prohibited") => void;
  readonly onAttempt?: (attempt: TcpAttempt) => void;
}

/** A TcpLayer with a collector for a device and a clock that a test turns. */
export class TestStack {
  now = 1_000_000;
  readonly timers = new TimerQueue();
  readonly collector: PacketCollector;
  readonly layer: TcpLayer;
  readonly attempts: TcpAttempt[] = [];
  woken = 0;

  constructor(options: TestStackOptions = {}) {
    this.collector = new PacketCollector({
      mtu: options.mtu ?? 1500,
      segmentation: options.segmentation ?? false,
    });
    this.layer = new TcpLayer({
      writer: this.collector,
      timers: this.timers,
      now: () => this.now,
      secret: Buffer.from("a secret of sixteen bytes or more"),
      onAttempt: (attempt) => {
        this.attempts.push(attempt);
        options.onAttempt?.(attempt);
      },
      wake: () => this.woken++,
      refuseUnreachable: options.refuseUnreachable,
      ...(options.limits && { limits: options.limits }),
    });
  }

  /** Packets arrive in one burst. @returns what was sent in answer. */
  arrive(...packets: readonly Buffer[]): Buffer[] {
    for (const packet of packets) this.layer.arrive(asIpPacket(packet, Checksum.unknown));
    return this.settle();
  }

  /** What a woken stack does. @returns what was sent. */
  settle(): Buffer[] {
    this.layer.endBurst();
    this.collector.flush();
    return this.collector.take();
  }

  /** Turns the clock to `now`, running timers on the way. @returns what was sent. */
  runTo(now: number): Buffer[] {
    const sent: Buffer[] = [];
    for (;;) {
      const next = Math.min(this.timers.next(), now);
      this.now = Math.max(this.now, next);
      this.timers.run(this.now);
      sent.push(...this.settle());
      if (this.now >= now && this.timers.next() > now) return sent;
    }
  }

  after(ms: number): Buffer[] {
    return this.runTo(this.now + ms);
  }
}
