import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { connect, isIPv6, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { DialError, type DialErrorCode } from "@sockeye/engine/errors";
import type { Endpoint } from "@sockeye/engine/endpoint";
import type { ConnectRequest, DatagramPort, InboundHandler } from "@sockeye/engine/inbound/request";

/** What an inbound's requests are handed to in tests: it dials the target itself and joins the two streams. */
export class DirectHandler implements InboundHandler {
  /** Every request that came, in order. */
  readonly requests: ConnectRequest[] = [];
  readonly ports: DatagramPort[] = [];
  readonly cancelled: Endpoint[] = [];
  /** Applications' sides that were accepted. */
  readonly accepted: Duplex[] = [];
  udp = true;
  /** What to answer, for a target that is not to be dialled. */
  refusal: ((target: Endpoint) => DialError | undefined) | undefined;
  /** Keeps the dial waiting until the promise is settled. */
  hold: Promise<void> | undefined;
  readonly #streams = new Set<Duplex | UdpSocket>();

  connect(request: ConnectRequest): void {
    this.requests.push(request);
    const refusal = this.refusal?.(request.target);
    if (refusal) {
      request.reject(refusal);
      return;
    }
    let cancelled = false;
    request.onCancel(() => {
      cancelled = true;
      this.cancelled.push(request.target);
    });
    const begin = (): void => {
      if (!cancelled) this.#dial(request);
    };
    if (this.hold) void this.hold.then(begin);
    else begin();
  }

  #dial(request: ConnectRequest): void {
    const host = request.target.host.endsWith(".test") ? "127.0.0.1" : request.target.host;
    const upstream = connect({ host, port: request.target.port, allowHalfOpen: true, noDelay: true });
    this.#streams.add(upstream);
    const onError = (error: NodeJS.ErrnoException): void =>
      request.reject(new DialError(codeOf(error), `${host} can't be reached`, { cause: error }));
    upstream.once("error", onError);
    upstream.once("connect", () => {
      upstream.off("error", onError);
      this.#join(request.accept(), upstream);
    });
  }

  #join(application: Duplex, upstream: Socket): void {
    this.accepted.push(application);
    this.#streams.add(application);
    const end = (): void => {
      application.destroy();
      upstream.destroy();
    };
    for (const stream of [application, upstream]) {
      stream.on("error", end);
      stream.on("close", () => {
        this.#streams.delete(stream);
        if (!stream.readableEnded || stream.errored) end();
      });
    }
    upstream.pipe(application);
    if (application.readableEnded) upstream.end();
    else application.pipe(upstream);
    if (application.destroyed) end();
  }

  associate(port: DatagramPort): void {
    this.ports.push(port);
    const socket = createSocket("udp4");
    this.#streams.add(socket);
    socket.on("message", (payload, from) => port.deliver({ host: from.address, port: from.port }, payload));
    port.onDatagram = (target, payload) => {
      if (!isIPv6(target.host)) socket.send(payload, target.port, target.host);
    };
    port.onClose = () => {
      this.#streams.delete(socket);
      socket.close();
    };
  }

  udpAvailable(): boolean {
    return this.udp;
  }

  /** Ends every flow. */
  end(): void {
    for (const port of this.ports) port.close();
    for (const stream of this.#streams) if ("destroy" in stream) stream.destroy();
  }
}

function codeOf(error: NodeJS.ErrnoException): DialErrorCode {
  switch (error.code) {
    case "ECONNREFUSED":
      return "refused";
    case "ETIMEDOUT":
      return "timeout";
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return "dns";
    default:
      return "unreachable";
  }
}
