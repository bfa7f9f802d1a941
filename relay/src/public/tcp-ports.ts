import { Roster } from "@sockeye/wire/roster";
import { createServer, type Server, type Socket } from "node:net";
import { formatEndpoint } from "@sockeye/config-kit/endpoint";
import { Carry, cut } from "@sockeye/link/carry";
import type { StreamReceiver, TunnelStream } from "@sockeye/wire/mux-stream";
import { writeProxyHeader } from "@sockeye/wire/proxy-protocol";
import type { Route } from "../dispatch/dispatch.ts";
import type { Entrance, Guest } from "../edge/entrance.ts";
import type { PortOpener } from "../link/share-desk.ts";
import type { Slot } from "../limits/limits.ts";
import type { PublicAddress } from "../names/registry.ts";
import type { CarriedBytes, ErrorKind, ServedStart } from "../observer.ts";
import { openPending } from "./pending.ts";
import { Progress } from "./progress.ts";
import type { PublicContext } from "./public-context.ts";
import { ofReset } from "./refusals.ts";

interface OpenPort {
  readonly server: Server;
  /** How many shares want it open. */
  holders: number;
  closing: NodeJS.Timeout | undefined;
}

/** The public TCP ports: each connection becomes a stream to the client that holds the port. */
export class TcpPorts implements PortOpener {
  readonly #context: PublicContext;
  readonly #entrance: Entrance;
  readonly #open = new Map<number, OpenPort>();
  readonly #connections = new Roster<TcpConnection>();

  constructor(context: PublicContext, entrance: Entrance) {
    this.#context = context;
    this.#entrance = entrance;
  }

  /** @throws {Error} where the system does not give the port. */
  async open(port: number): Promise<void> {
    const known = this.#open.get(port);
    if (known !== undefined) {
      clearTimeout(known.closing);
      known.closing = undefined;
      known.holders++;
      return;
    }
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) =>
      this.#entrance.accept(socket, (guest) => this.#accept(guest, port)),
    );
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, this.#context.config.tcp.host, () => {
        server.off("error", reject);
        server.on("error", (error) => this.#context.observer.problem(`TCP port ${port}`, error));
        resolve();
      });
    });
    this.#open.set(port, { server, holders: 1, closing: undefined });
  }

  /** It stays open for as long as a client that is away may come back: connections wait for it meanwhile. */
  close(port: number): void {
    const known = this.#open.get(port);
    if (known === undefined || --known.holders > 0) return;
    const holdMs = this.#context.config.names.hold * 1000;
    known.closing = setTimeout(() => {
      this.#open.delete(port);
      known.server.close();
    }, holdMs);
  }

  /** To be called several times a second. */
  sweep(now: number): void {
    for (const connection of this.#connections) connection.sweep(now);
  }

  get connections(): number {
    return this.#connections.size;
  }

  stopAccepting(): void {
    for (const { server, closing } of this.#open.values()) {
      clearTimeout(closing);
      server.close();
    }
    this.#open.clear();
  }

  destroy(): void {
    for (const connection of this.#connections) connection.destroy();
  }

  #accept(guest: Guest, port: number): void {
    this.#context.observer.connectionOpened("tcp");
    const connection = new TcpConnection(this.#context, guest, {
      address: { kind: "tcp", port },
      onClosed: () => {
        guest.slot.release();
        this.#connections.delete(connection);
        this.#context.observer.connectionClosed("tcp");
      },
    });
    this.#connections.add(connection);
  }
}

interface TcpPlace {
  readonly address: PublicAddress;
  readonly onClosed: () => void;
}

const WAITING: StreamReceiver = { data: () => {}, end: () => {}, reset: () => {}, drain: () => {} };

/** One connection to a public port. A reset is all that it can be told where it can't be served. */
class TcpConnection {
  readonly #context: PublicContext;
  readonly #socket: Socket;
  readonly #guest: Guest;
  readonly #place: TcpPlace;
  readonly #startedAt = performance.now();
  readonly #started: ServedStart;
  readonly #progress: Progress;
  /** For a wait that ends with the connection; most never wait. */
  #abort: AbortController | undefined;
  #route: Route | undefined;
  #slot: Slot | undefined;
  #stream: TunnelStream | undefined;
  #openedAt = 0;
  #carry: Carry | undefined;
  #error: ErrorKind | undefined;
  #limit: string | undefined;

  constructor(context: PublicContext, guest: Guest, place: TcpPlace) {
    this.#context = context;
    this.#socket = guest.socket;
    this.#guest = guest;
    this.#place = place;
    this.#progress = new Progress(context.observer, this.#startedAt);
    this.#socket.pause();
    this.#socket.once("close", () => this.#onClose());
    const start: ServedStart = { address: place.address, source: guest.source.host };
    const trace = context.tracer?.begin(start, undefined);
    this.#started = trace === undefined ? start : { ...start, trace };
    context.observer.requestStarted(this.#started);
    this.#find().catch((error: unknown) => {
      if (this.#isGone()) return;
      context.observer.problem("routing a TCP connection", error as Error);
      this.#fail("away");
    });
  }

  destroy(): void {
    if (this.#carry !== undefined) this.#carry.abort("cancelled");
    cut(this.#socket);
  }

  sweep(now: number): void {
    const carry = this.#carry;
    if (carry === undefined) return;
    this.#progress.sweep(now, this.#route, () => this.#bytes());
    const { pending_timeout, idle_timeout, half_close_timeout, total_timeout } = this.#context.config.limits;
    const notTaken = this.#stream?.untaken === true && now - this.#openedAt > pending_timeout * 1000;
    const quietMs = now - carry.lastActive;
    const idle = idle_timeout > 0 && quietMs > idle_timeout * 1000;
    const halfClosed = carry.halfClosed && quietMs > half_close_timeout * 1000;
    const tooLong = total_timeout > 0 && now - this.#startedAt > total_timeout * 1000;
    if (!notTaken && !idle && !halfClosed && !tooLong) return;
    this.#error = notTaken ? "not-taken" : "idle";
    carry.abort("cancelled");
  }

  async #find(): Promise<void> {
    const { dispatch, config } = this.#context;
    const { address } = this.#place;
    const refusal = this.#context.limits.request({ source: this.#guest.source.host, kind: "tcp" });
    if (refusal !== undefined) {
      this.#fail("limit", refusal.limit);
      return;
    }
    const found = await dispatch.find(address);
    if (this.#isGone()) return;
    const route =
      found.state === "held"
        ? found.route
        : await dispatch.waitFor(
            address,
            config.names.hold * 1000,
            (this.#abort = new AbortController()).signal,
          );
    if (this.#isGone()) return;
    if (route === undefined) {
      this.#fail("away");
      return;
    }
    await this.#carryTo(route);
  }

  async #carryTo(route: Route): Promise<void> {
    const { authoriser, limits } = this.#context;
    this.#route = route;
    const verdict = await authoriser.authorise(route.grant, route.address);
    if (this.#isGone()) return;
    if (!verdict.allowed) {
      this.#fail("not-authorised");
      return;
    }
    if (route.gate?.refuses(this.#guest.source.host, undefined) === "address") {
      this.#fail("guarded");
      return;
    }
    const refusal = limits.request({ source: "", client: route.client, kind: "tcp" });
    if (refusal !== undefined) {
      this.#fail("limit", refusal.limit);
      return;
    }
    const admission = limits.tunnel(route.client);
    if ("refusal" in admission) {
      this.#fail("limit", admission.refusal.limit);
      return;
    }
    this.#slot = admission.slot;
    const { source, destination } = this.#guest;
    const opening = openPending(limits, route, formatEndpoint(source), WAITING);
    if ("refusal" in opening) {
      this.#fail("limit", opening.refusal.limit);
      return;
    }
    const { stream } = opening;
    if (stream === undefined) {
      this.#fail("limit");
      return;
    }
    this.#stream = stream;
    this.#openedAt = performance.now();
    const { proxy_protocol_out } = this.#context.config;
    if (proxy_protocol_out !== "off") stream.write(writeProxyHeader(proxy_protocol_out, source, destination));
    this.#carry = new Carry(this.#socket, stream, (end) => {
      if (end.reason !== undefined) this.#error ??= ofReset(end.reason).kind;
    });
  }

  #isGone(): boolean {
    return this.#socket.destroyed;
  }

  /** @param limit the key of the configuration that is in the way. */
  #fail(kind: ErrorKind, limit?: string): void {
    this.#error = kind;
    this.#limit = limit;
    cut(this.#socket);
  }

  #bytes(): CarriedBytes {
    return { bytesIn: this.#carry?.bytesToStream ?? 0, bytesOut: this.#carry?.bytesToSocket ?? 0 };
  }

  #onClose(): void {
    this.#abort?.abort();
    this.#slot?.release();
    this.#place.onClosed();
    this.#context.observer.requestEnded({
      ...this.#started,
      client: this.#route?.client,
      identity: this.#route?.grant.identity,
      status: 0,
      ms: performance.now() - this.#startedAt,
      ...this.#bytes(),
      told: this.#progress.told,
      error: this.#error,
      limit: this.#limit,
    });
  }
}
