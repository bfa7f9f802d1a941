import { type Endpoint, formatEndpoint } from "../endpoint.ts";
import { DialError } from "../errors.ts";
import type { DatagramPort } from "../inbound/request.ts";
import type { Decision } from "../router/route.ts";
import type { UdpAssociation, UdpReceiver } from "../upstream/dialer.ts";
import type { FlowContext } from "./connect.ts";
import { Flow } from "./flow.ts";

/** Datagrams kept while their association opens; further ones are dropped, as UDP may. */
const MAX_WAITING_DATAGRAMS = 64;

/** Carries one application's datagrams: each is routed by its own target, over one association for each upstream used. */
export function associate(context: FlowContext, port: DatagramPort): void {
  const routes = new Map<string, PortAssociation>();
  /** Where this application's datagrams can't go, so that it is said once. */
  const refused = new Set<string>();
  port.onDatagram = (target, payload) => {
    const decision = context.router().route(target);
    let association = routes.get(decision.to);
    if (!association) {
      association = open(context, port, target, decision);
      if (!association) {
        if (!refused.has(decision.to)) sayRefused(context, port, target, decision.to);
        refused.add(decision.to);
        return;
      }
      const opened = association;
      opened.onGone = () => {
        if (routes.get(decision.to) === opened) routes.delete(decision.to);
      };
      routes.set(decision.to, opened);
    }
    association.send(target, payload);
  };
  port.onClose = () => {
    for (const association of [...routes.values()])
      association.close(new DialError("closed", "the application ended it"));
  };
}

function open(
  context: FlowContext,
  port: DatagramPort,
  target: Endpoint,
  decision: Decision,
): PortAssociation | undefined {
  const udp = decision.to === "block" ? undefined : context.dialer(decision.to)?.udp;
  if (!udp) {
    context.observer.dialed(decision.to, 0, decision.to === "block" ? "blocked" : "unsupported");
    return undefined;
  }
  const association = new PortAssociation(context, port, target, decision);
  const source = port.source.host;
  void association.open((receiver, signal) => udp.associate(receiver, { signal, source }));
  return association;
}

function sayRefused(context: FlowContext, port: DatagramPort, target: Endpoint, upstream: string): void {
  const why = upstream === "block" ? "a route blocks them" : "their upstream has no UDP";
  const fields = { upstream, target: formatEndpoint(target), source: formatEndpoint(port.source) };
  context.log.warn(fields, `datagrams are dropped: ${why}`);
}

/** One port's association with one upstream: a flow of its own in the table. */
class PortAssociation implements UdpReceiver {
  readonly #context: FlowContext;
  readonly #port: DatagramPort;
  readonly #flow: Flow;
  readonly #abort = new AbortController();
  #association: UdpAssociation | undefined;
  #waiting: { target: Endpoint; payload: Buffer }[] = [];
  #over = false;
  onGone: () => void = () => {};

  constructor(context: FlowContext, port: DatagramPort, target: Endpoint, decision: Decision) {
    this.#context = context;
    this.#port = port;
    const { inbound, source } = port;
    const origin = { inbound, source, target, protocol: "udp" } as const;
    this.#flow = new Flow(context.table.nextId(), origin, decision, (error) => this.close(error));
    context.table.add(this.#flow);
  }

  async open(
    associate: (receiver: UdpReceiver, signal: AbortSignal) => Promise<UdpAssociation>,
  ): Promise<void> {
    const upstream = this.#flow.decision.to;
    const timeoutMs = this.#context.dialTimeoutMs();
    const deadline = setTimeout(() => {
      this.#abort.abort(new DialError("timeout", `no UDP association within ${timeoutMs / 1000} s`));
    }, timeoutMs);
    try {
      const association = await associate(this, this.#abort.signal);
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
      this.#context.log.warn({ upstream, seq: this.#flow.id, code, error: message }, "no UDP association");
      this.#gone(error instanceof Error ? error : undefined);
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
    this.#abort.abort(error);
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
    this.#waiting = [];
    this.#context.table.remove(this.#flow, error);
    this.onGone();
  }
}
