import type { Duplex } from "node:stream";
import type { Endpoint } from "../endpoint.ts";
import type { DialError } from "../errors.ts";
import type { PacketDevice } from "../netstack/device.ts";
import { StackDriver } from "../netstack/driver.ts";
import type { Refusal, StackHandler, TcpAttempt, UdpSource } from "../netstack/handler.ts";
import type { StackLimits, StackStats } from "../netstack/stack.ts";
import type { ConnectRequest, InboundHandler } from "./request.ts";
import { TunDatagramPort } from "./tun-datagrams.ts";
import { named, type TunDns, type TunNames } from "./tun-names.ts";

export interface TunEvents {
  /** A connection or a UDP source came. */
  readonly onAccept?: (() => void) | undefined;
  /** The device is gone, though nobody closed it. */
  readonly onLost?: ((error: Error | undefined) => void) | undefined;
}

export interface TunOptions {
  /** Opened, not started; the inbound's from now on. */
  readonly device: PacketDevice;
  readonly limits?: Partial<StackLimits> | undefined;
  readonly events?: TunEvents | undefined;
  readonly names?: TunNames | undefined;
  readonly dns?: TunDns | undefined;
  /** Whether a target is there for an echo request: see StackHandler.echo. Absent: echo is never answered. */
  readonly echo?: StackHandler["echo"];
}

export interface TunInbound {
  readonly kind: "tun";
  /** As the system calls the device. */
  readonly name: string;
  /** Connections that wait for their dial. */
  readonly pending: number;
  readonly stats: StackStats;
  /** For what is open, too; connections beyond a smaller number stay. */
  setLimits(limits: Pick<Partial<StackLimits>, "tcp" | "udp">): void;
  /** Cuts all connections that are open, at once, and resets them for their applications; new ones are served. */
  reset(): void;
  /** Ends what is open, as reset() does, and gives the device back. */
  close(): Promise<void>;
}

const DNS = 53;

/** Turns the packets of a TUN device into connections and datagrams for the engine. */
export function openTun(options: TunOptions, handler: InboundHandler): TunInbound {
  return new OpenTun(options, handler);
}

class OpenTun implements TunInbound, StackHandler {
  readonly kind = "tun";
  readonly name: string;
  readonly echo: StackHandler["echo"];
  readonly #options: TunOptions;
  readonly #handler: InboundHandler;
  readonly #driver: StackDriver;
  #pending = 0;

  constructor(options: TunOptions, handler: InboundHandler) {
    this.#options = options;
    this.#handler = handler;
    this.name = options.device.name;
    this.echo = options.echo;
    this.#driver = new StackDriver({
      device: options.device,
      handler: this,
      limits: options.limits,
      onLost: (error) => options.events?.onLost?.(error),
    });
  }

  get pending(): number {
    return this.#pending;
  }

  get stats(): StackStats {
    return this.#driver.stats;
  }

  setLimits(limits: Pick<Partial<StackLimits>, "tcp" | "udp">): void {
    this.#driver.setLimits(limits);
  }

  reset(): void {
    this.#driver.reset();
  }

  async close(): Promise<void> {
    this.#driver.close();
  }

  tcp(attempt: TcpAttempt): void {
    const { events, names, dns } = this.#options;
    events?.onAccept?.();
    const { host, port } = attempt.target;
    if (dns && port === DNS) {
      dns.serve(attempt.accept(), attempt.target);
      return;
    }
    let target = attempt.target;
    try {
      if (names) target = named(target, names);
    } catch {
      attempt.refuse("unreachable");
      return;
    }
    const held = names?.hold(host) === true ? names : undefined;
    this.#pending++;
    const request = new TunRequest(attempt, target, {
      onAnswered: () => this.#pending--,
      onOver: () => held?.release(host),
    });
    this.#handler.connect(request);
  }

  udp(source: UdpSource): void {
    const { events, names, dns } = this.#options;
    events?.onAccept?.();
    this.#handler.associate(new TunDatagramPort(source, names, dns));
  }
}

interface RequestEvents {
  /** It was accepted, rejected or given up. */
  onAnswered(): void;
  /** Nothing of it is left. */
  onOver(): void;
}

/** A SYN that waits for its dial. */
class TunRequest implements ConnectRequest {
  readonly inbound = "tun";
  readonly target: Endpoint;
  readonly #attempt: TcpAttempt;
  readonly #events: RequestEvents;
  #onCancel: () => void = ignore;
  #answered = false;
  #cancelled = false;

  constructor(attempt: TcpAttempt, target: Endpoint, events: RequestEvents) {
    this.#attempt = attempt;
    this.target = target;
    this.#events = events;
    attempt.onCancel(() => {
      if (this.#answered) return;
      this.#cancelled = true;
      this.#onCancel();
    });
  }

  get source(): Endpoint {
    return this.#attempt.source;
  }

  onCancel(callback: () => void): void {
    this.#onCancel = callback;
    if (this.#cancelled) queueMicrotask(callback);
  }

  accept(): Duplex {
    this.#answer();
    const stream = this.#attempt.accept();
    if (stream.closed) this.#events.onOver();
    else stream.once("close", () => this.#events.onOver());
    return stream;
  }

  reject(error: DialError): void {
    this.#answer();
    this.#attempt.refuse(refusalOfConnection(error));
    this.#events.onOver();
  }

  #answer(): void {
    this.#answered = true;
    this.#onCancel = ignore;
    this.#events.onAnswered();
  }
}

/**
 * A RST is noticed at once by every system, an ICMP error during the handshake by some only: Linux gives up, BSD and Windows try
 * again for a while (RFC 5461 §2). So ICMP is left to what an application should take for a fault of the network, which may
 * pass: no way to the host, no answer, no address, an upstream that is down. Our routes' and the upstream's own no are final.
 */
function refusalOfConnection({ code, scope }: DialError): Refusal {
  switch (code) {
    case "refused":
    case "blocked":
    case "forbidden":
    case "protocol":
    case "limit":
    case "closed":
    case "cancelled":
    case "unsupported":
    case "internal":
      return scope === "upstream" && code !== "blocked" ? "unreachable" : "refused";
    case "unreachable":
    case "timeout":
    case "dns":
    case "tls":
    case "auth":
    case "host-key":
      return "unreachable";
  }
}

function ignore(): void {}
