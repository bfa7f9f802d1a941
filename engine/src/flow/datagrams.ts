import { Cancel, type CancelSignal } from "../cancel.ts";
import { type Endpoint, formatEndpoint } from "../endpoint.ts";
import { DialError } from "../errors.ts";
import type { DatagramPort } from "../inbound/request.ts";
import type { Decision, Router } from "../router/route.ts";
import type { Dialer, UdpAssociation, UdpDialer, UdpReceiver } from "../upstream/dialer.ts";
import type { FlowContext } from "./connect.ts";
import type { DnsCarrier } from "./dns-carrier.ts";
import { Flow } from "./flow.ts";
import type { UdpSupport } from "./udp-support.ts";

/** Datagrams kept while their association opens; further ones are dropped, as UDP may. */
const MAX_WAITING_DATAGRAMS = 64;

const DNS = 53;

/** An error that is there already: each has its stack to find out, and a stub resolver has a source for every question. */
const applicationEnded = new DialError("closed", "the application ended it");

/** What carrying datagrams needs of the engine beside what connections need. */
export interface DatagramContext extends FlowContext {
  /** Carries questions to name servers. */
  readonly dns: DnsCarrier;
  readonly udp: UdpSupport;
}

/**
 * Carries one application's datagrams: each is routed by its own target, over one association for each upstream used. DNS
 * shares an association, or a TCP connection, with all applications. Where an upstream has no UDP, the application is told of
 * everything but DNS.
 */
export function associate(context: DatagramContext, port: DatagramPort): void {
  new Datagrams(context, port);
}

interface Carrier {
  readonly udp: UdpDialer;
  /** It carries DNS alone. */
  readonly dnsOnly: boolean;
}

/** One application's datagrams. */
class Datagrams {
  readonly #context: DatagramContext;
  readonly #port: DatagramPort;
  /** By upstream: associations for any datagram, and those for DNS alone. */
  readonly #associations = new Map<string, PortAssociation>();
  readonly #dnsAssociations = new Map<string, PortAssociation>();
  /** Upstreams that datagrams can't go to, so that it is said once. */
  readonly #refused = new Set<string>();
  /** What was decided of the last target, and by whom: most datagrams go where the one before went. */
  #lastTarget: Endpoint | undefined;
  #lastRouter: Router | undefined;
  #lastDecision: Decision | undefined;
  #closed = false;

  constructor(context: DatagramContext, port: DatagramPort) {
    this.#context = context;
    this.#port = port;
    port.onDatagram = (target, payload) => this.#send(target, payload);
    port.onClose = () => this.#close();
  }

  #send(target: Endpoint, payload: Buffer): void {
    if (this.#closed) return;
    const decision = this.#decide(target);
    const { to } = decision;
    const isShared = target.port === DNS && to !== "direct";
    const known = (isShared ? this.#dnsAssociations : this.#associations).get(to);
    const association = known ?? this.#open(target, decision);
    if (association) association.send(target, payload);
    else this.#refuse(target, to);
  }

  #decide(target: Endpoint): Decision {
    const router = this.#context.router();
    if (target === this.#lastTarget && router === this.#lastRouter && this.#lastDecision)
      return this.#lastDecision;
    this.#lastTarget = target;
    this.#lastRouter = router;
    return (this.#lastDecision = router.route(target));
  }

  #open(target: Endpoint, decision: Decision): PortAssociation | undefined {
    const dialer = decision.to === "block" ? undefined : this.#context.dialer(decision.to);
    const carrier = dialer && this.#carrierOf(decision.to, dialer, target);
    // Datagrams that are refused make no flow: the first tells of the rest.
    if (carrier || !this.#refused.has(decision.to)) this.#context.hits.count(decision);
    if (!dialer || !carrier) {
      this.#context.observer.dialed(decision.to, 0, decision.to === "block" ? "blocked" : "unsupported");
      return undefined;
    }
    const association = new PortAssociation(this.#context, this.#port, target, decision);
    const associations = carrier.dnsOnly ? this.#dnsAssociations : this.#associations;
    associations.set(decision.to, association);
    association.onGone = (unsent, error) => {
      if (associations.get(decision.to) === association) associations.delete(decision.to);
      if (error?.code === "unsupported") this.#context.udp.deny(dialer);
      this.#redirect(unsent, error);
    };
    const source = this.#port.source.host;
    void association.open((receiver, signal) => carrier.udp.associate(receiver, { signal, source }));
    return association;
  }

  /** The machine's own network costs no association, and its ports are each as good as another's. */
  #carrierOf(name: string, dialer: Dialer, target: Endpoint): Carrier | undefined {
    if (target.port === DNS && name !== "direct") {
      return { udp: this.#context.dns.over(name, dialer), dnsOnly: true };
    }
    const udp = this.#context.udp.of(dialer);
    return udp && { udp, dnsOnly: false };
  }

  /** What waited for an association that did not open: DNS may go another way; of the rest the application hears. */
  #redirect(unsent: readonly Waiting[], error: DialError | undefined): void {
    if (this.#closed || !error) return;
    for (const { target, payload } of unsent) {
      if (error.code === "unsupported") this.#send(target, payload);
      else this.#port.refuse?.(target, error);
    }
  }

  #refuse(target: Endpoint, upstream: string): void {
    const blocked = upstream === "block";
    this.#port.refuse?.(
      target,
      blocked
        ? new DialError("blocked", `${formatEndpoint(target)} is blocked`)
        : new DialError("unsupported", `the upstream ${upstream} has no UDP`, { scope: "upstream" }),
    );
    if (this.#refused.has(upstream)) return;
    this.#refused.add(upstream);
    const why = blocked ? "a route blocks them" : "their upstream has no UDP";
    const source = formatEndpoint(this.#port.source);
    const fields = { upstream, target: formatEndpoint(target), source };
    // An application that hears of it is expected to do without.
    if (this.#port.refuse) this.#context.log.debug(fields, `datagrams are refused: ${why}`);
    else this.#context.log.warn(fields, `datagrams are dropped: ${why}`);
  }

  #close(): void {
    this.#closed = true;
    const open = [...this.#associations.values(), ...this.#dnsAssociations.values()];
    for (const association of open) association.close(applicationEnded);
  }
}

interface Waiting {
  readonly target: Endpoint;
  readonly payload: Buffer;
}

/** One port's association with one upstream: a flow of its own in the table. */
class PortAssociation implements UdpReceiver {
  readonly #context: FlowContext;
  readonly #port: DatagramPort;
  readonly #flow: Flow;
  readonly #cancel = new Cancel();
  #association: UdpAssociation | undefined;
  #waiting: Waiting[] = [];
  #over = false;
  /** Told once of its end: with the datagrams that never left, and the error if one ended it. */
  onGone: (unsent: readonly Waiting[], error: DialError | undefined) => void = () => {};

  constructor(context: FlowContext, port: DatagramPort, target: Endpoint, decision: Decision) {
    this.#context = context;
    this.#port = port;
    const { inbound, source } = port;
    const origin = { inbound, source, target, protocol: "udp" } as const;
    this.#flow = new Flow(context.table.nextId(), origin, decision, (error) => this.close(error));
    context.table.add(this.#flow);
  }

  async open(
    associate: (receiver: UdpReceiver, signal: CancelSignal) => Promise<UdpAssociation>,
  ): Promise<void> {
    const upstream = this.#flow.decision.to;
    const timeoutMs = this.#context.dialTimeoutMs();
    const deadline = setTimeout(() => {
      this.#cancel.abort(new DialError("timeout", `no UDP association within ${timeoutMs / 1000} s`));
    }, timeoutMs);
    try {
      const association = await associate(this, this.#cancel);
      if (this.#over) {
        association.close();
        return;
      }
      this.#association = association;
      this.#context.observer.dialed(upstream, this.#flow.ageMs, "ok");
      for (const { target, payload } of this.#waiting.splice(0)) association.send(target, payload);
    } catch (error) {
      const code = error instanceof DialError ? error.code : "internal";
      const message = error instanceof Error ? error.message : String(error);
      this.#context.observer.dialed(upstream, this.#flow.ageMs, code);
      const fields = { upstream, seq: this.#flow.id, code, error: message };
      this.#context.log.sparingly("warn", fields, "no UDP association");
      this.#gone(error instanceof DialError ? error : new DialError(code, message, { cause: error }));
    } finally {
      clearTimeout(deadline);
    }
  }

  send(target: Endpoint, payload: Buffer): void {
    this.#flow.countDatagram(payload.length, 0);
    if (this.#association) this.#association.send(target, payload);
    else if (this.#waiting.length < MAX_WAITING_DATAGRAMS) this.#waiting.push({ target, payload });
  }

  close(error: DialError): void {
    this.#cancel.abort(error);
    this.#association?.close();
    this.#gone();
  }

  onDatagram(source: Endpoint, payload: Buffer): void {
    this.#flow.countDatagram(0, payload.length);
    this.#port.deliver(source, payload);
  }

  onClose(error?: Error): void {
    this.#gone(error);
  }

  #gone(error?: Error): void {
    if (this.#over) return;
    this.#over = true;
    const unsent = this.#waiting;
    this.#waiting = [];
    this.#context.table.remove(this.#flow, error);
    this.onGone(unsent, error instanceof DialError ? error : undefined);
  }
}
