import { Counter, Gauge, type Registry } from "prom-client";
import type { StackNumbers } from "../control/contract.ts";
import type { StackStats } from "../netstack/stack.ts";

/** What TUN mode counts, since it came on. */
export interface TunNumbers {
  readonly stack: StackStats;
  /** The pool of fake addresses; undefined where none are handed out. */
  readonly fake: { readonly names: number; readonly capacity: number; readonly refused: number } | undefined;
}

/** Why packets were dropped; the values of the label `reason`, and no others. */
function dropsOf({ malformed, martian, unwanted, fragmentsDropped, tcpCounters, lost }: StackStats) {
  return {
    malformed,
    martian,
    unwanted,
    fragment: fragmentsDropped,
    "half-open-limit": tcpCounters.attemptsDropped,
    device: lost,
  };
}

/** The same for `sockeye status`. */
export function summarize({ stack, fake }: TunNumbers): StackNumbers {
  const { segmentsIn, segmentsOut, retransmissions, resetsReceived, resetsSent } = stack.tcpCounters;
  return {
    connections: stack.tcp,
    halfOpen: stack.tcpHalfOpen,
    udpSessions: stack.udpSources,
    reassembling: stack.reassembling.packets,
    segmentsIn,
    segmentsOut,
    retransmissions,
    resetsIn: resetsReceived,
    resetsOut: resetsSent,
    dropped: Object.values(dropsOf(stack)).reduce((sum, one) => sum + one, 0),
    ...(fake && { fake: { names: fake.names, capacity: fake.capacity } }),
  };
}

type Series = readonly [labels: Readonly<Record<string, string>>, value: number][];

/**
 * Registers the series of TUN mode, `sockeye_tun_…`. There are none while it is off, and its counts begin at zero each time it
 * comes on, as those of a process that starts.
 * @param read at each scrape.
 */
export function registerTun(registry: Registry, read: () => TunNumbers | undefined): void {
  const add = (
    kind: typeof Counter | typeof Gauge,
    [name, help, label]: readonly [name: string, help: string, label?: string],
    values: (numbers: TunNumbers) => Series,
  ): void => {
    const config = {
      name: `sockeye_tun_${name}`,
      help,
      labelNames: label === undefined ? [] : [label],
      registers: [registry],
      collect(this: Counter | Gauge) {
        this.reset();
        // One without labels would stand there at zero.
        if (label === undefined) this.remove();
        const numbers = read();
        if (numbers) for (const [labels, value] of values(numbers)) this.inc(labels, value);
      },
    };
    new kind(config);
  };
  const one = (value: number): Series => [[{}, value]];
  const labelled = (label: string, values: Readonly<Record<string, number>>): Series =>
    Object.entries(values).map(([name, value]) => [{ [label]: name }, value]);

  add(
    Counter,
    ["tcp_segments_total", "TCP segments, as the device hands them over and takes them.", "direction"],
    ({ stack: { tcpCounters } }) =>
      labelled("direction", { in: tcpCounters.segmentsIn, out: tcpCounters.segmentsOut }),
  );
  add(Counter, ["tcp_retransmissions_total", "TCP segments that were sent again."], ({ stack }) =>
    one(stack.tcpCounters.retransmissions),
  );
  add(
    Counter,
    ["tcp_resets_total", "RSTs from applications' systems, and to them.", "direction"],
    ({ stack: { tcpCounters } }) =>
      labelled("direction", { in: tcpCounters.resetsReceived, out: tcpCounters.resetsSent }),
  );
  add(
    Counter,
    ["tcp_timeouts_total", "Connections that ended because the application did not answer."],
    ({ stack }) => one(stack.tcpCounters.timeouts),
  );
  add(
    Gauge,
    ["tcp_connections", "TCP connections of the device, those in TIME-WAIT included."],
    ({ stack }) => one(stack.tcp),
  );
  add(Gauge, ["tcp_half_open", "SYNs and SYN-ACKs that wait for their answer."], ({ stack }) =>
    one(stack.tcpHalfOpen),
  );
  add(Counter, ["dropped_packets_total", "Packets that were dropped, by why.", "reason"], ({ stack }) =>
    labelled("reason", dropsOf(stack)),
  );
  add(Gauge, ["udp_sessions", "Sources of UDP: an address and a port of this machine."], ({ stack }) =>
    one(stack.udpSources),
  );
  add(Counter, ["udp_evictions_total", "Sources of UDP that were closed to make room."], ({ stack }) =>
    one(stack.udpEvicted),
  );
  add(Counter, ["icmp_errors_total", "ICMP errors that were sent."], ({ stack }) => one(stack.icmpErrors));
  add(Gauge, ["reassembly_packets", "Packets that are being put together from fragments."], ({ stack }) =>
    one(stack.reassembling.packets),
  );
  add(Gauge, ["reassembly_bytes", "Bytes of the fragments that are kept."], ({ stack }) =>
    one(stack.reassembling.bytes),
  );
  add(Gauge, ["fake_names", "Names that have a fake address."], ({ fake }) => (fake ? one(fake.names) : []));
  add(Gauge, ["fake_names_max", "Names that can have one at a time."], ({ fake }) =>
    fake ? one(fake.capacity) : [],
  );
  add(
    Counter,
    ["fake_names_refused_total", "Questions for a name while every fake address was in use."],
    ({ fake }) => (fake ? one(fake.refused) : []),
  );
}
