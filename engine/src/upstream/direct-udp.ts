import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { closeSync } from "node:fs";
import { isIP } from "node:net";
import type { Endpoint } from "../endpoint.ts";
import { abortReason, DialError } from "../errors.ts";
import type { AssociateOptions, UdpAssociation, UdpDialer, UdpReceiver } from "./dialer.ts";
import type { Egress, SocketSource, TakenSocket } from "./egress.ts";
import { plainHost } from "./plain-host.ts";
import type { Answer, Resolver } from "./resolver.ts";
import { toDialError } from "./system-errors.ts";

/** Datagrams that wait for one name; more are dropped. */
const MAX_WAITING = 16;
/** Bytes of datagrams that wait for names in one association before more are dropped. */
const MAX_WAITING_BYTES = 256 * 1024;
/** Bytes that wait in one socket before datagrams are dropped. */
const MAX_QUEUED_BYTES = 1 << 20;

/** Datagrams to a name, until there is an answer for it. */
interface NameWait {
  readonly leave: () => void;
  readonly datagrams: { readonly port: number; readonly payload: Buffer }[];
}

/** A datagram to an address, until the egress has a socket for it. */
interface Addressed {
  readonly address: string;
  readonly port: number;
  readonly payload: Buffer;
}

/** The socket of one address family, from when it is asked for. */
interface Way {
  /** Where it comes from; another one means a new socket. */
  readonly source: SocketSource | undefined;
  socket: Socket | undefined;
  /** Until the socket is there. */
  readonly datagrams: Addressed[];
  /** The socket is connected to the peer. */
  connected: boolean;
}

/** UDP over the machine's own network: one socket for each address family that an association uses. */
export class DirectUdpDialer implements UdpDialer {
  readonly #resolver: Resolver;
  readonly #egress: Egress;

  constructor(resolver: Resolver, egress: Egress) {
    this.#resolver = resolver;
    this.#egress = egress;
  }

  async associate(receiver: UdpReceiver, options: AssociateOptions): Promise<UdpAssociation> {
    if (options.signal.aborted) throw abortReason(options.signal);
    // Datagrams' names wait apart from connections', which a flood of datagrams must not hold up.
    const source = `udp ${options.source ?? ""}`;
    const { peer } = options;
    return new DirectUdpAssociation(receiver, {
      resolver: this.#resolver,
      source,
      egress: this.#egress,
      peer,
    });
  }
}

interface DirectUdpParts {
  readonly resolver: Resolver;
  readonly source: string;
  readonly egress: Egress;
  readonly peer: Endpoint | undefined;
}

class DirectUdpAssociation implements UdpAssociation {
  readonly #receiver: UdpReceiver;
  readonly #resolver: Resolver;
  readonly #source: string;
  readonly #waits = new Map<string, NameWait>();
  #waitingBytes = 0;
  readonly #egress: Egress;
  readonly #ways: { 4: Way | undefined; 6: Way | undefined } = { 4: undefined, 6: undefined };
  #closed = false;

  /** Whom sockets are connected to, which saves the kernel and us the address of each datagram. */
  readonly #peer: Endpoint | undefined;

  constructor(receiver: UdpReceiver, { resolver, source, egress, peer }: DirectUdpParts) {
    this.#receiver = receiver;
    this.#resolver = resolver;
    this.#source = source;
    this.#egress = egress;
    this.#peer = peer && { host: plainHost(peer.host), port: peer.port };
  }

  send(target: Endpoint, payload: Buffer): void {
    const { port } = target;
    if (this.#closed || !(port > 0 && port <= 65_535)) return;
    const host = plainHost(target.host);
    const family = isIP(host);
    if (family !== 0) {
      this.#sendTo(host, port, payload);
      return;
    }
    if (host === "") return;
    const known = this.#resolver.recall(host);
    if (known === undefined) this.#wait(host, port, payload);
    else this.#sendToAnswer(known, port, payload);
  }

  close(): void {
    this.#end(undefined);
  }

  /** Keeps a datagram until its name is resolved, or drops it where too much waits. */
  #wait(host: string, port: number, payload: Buffer): void {
    if (this.#waitingBytes + payload.length > MAX_WAITING_BYTES) return;
    const wait = this.#waits.get(host) ?? this.#ask(host);
    if (!wait || wait.datagrams.length >= MAX_WAITING) return;
    wait.datagrams.push({ port, payload });
    this.#waitingBytes += payload.length;
  }

  #ask(host: string): NameWait | undefined {
    const leave = this.#resolver.ask(host, this.#source, (answer) => this.#onAnswer(host, answer));
    if (!leave) return undefined;
    const wait: NameWait = { leave, datagrams: [] };
    this.#waits.set(host, wait);
    return wait;
  }

  #onAnswer(host: string, answer: Answer): void {
    const { datagrams } = this.#waits.get(host)!;
    this.#waits.delete(host);
    for (const { port, payload } of datagrams) {
      this.#waitingBytes -= payload.length;
      this.#sendToAnswer(answer, port, payload);
    }
  }

  #sendToAnswer(answer: Answer, port: number, payload: Buffer): void {
    if (!(answer instanceof Error)) this.#sendTo(plainHost(answer[0]!.address), port, payload);
  }

  #sendTo(address: string, port: number, payload: Buffer): void {
    if (this.#closed) return;
    const way = this.#way(isIP(address) === 4 ? 4 : 6, address);
    if (!way) return;
    const { socket, datagrams } = way;
    if (socket) {
      if (socket.getSendQueueSize() > MAX_QUEUED_BYTES) return;
      if (way.connected) this.#sendToPeer(socket, { address, port, payload });
      else socket.send(payload, port, address, ignoreSendError);
    } else if (datagrams.length < MAX_WAITING) {
      datagrams.push({ address, port, payload });
    }
  }

  #sendToPeer(socket: Socket, { address, port, payload }: Addressed): void {
    if (address === this.#peer!.host && port === this.#peer!.port) socket.send(payload, ignoreSendError);
  }

  /** The way of a family, opened when first needed and when the egress has changed; undefined where that ended it all. */
  #way(family: 4 | 6, target: string): Way | undefined {
    const { source } = this.#egress;
    const open = this.#ways[family];
    if (open && open.source === source) return open;
    closeSocket(open?.socket);
    const way: Way = { source, socket: undefined, datagrams: [], connected: false };
    this.#ways[family] = way;
    const taken = source?.take(family, "dgram", target);
    if (taken === undefined) {
      this.#open(way, family, (socket) => socket.bind(0, family === 4 ? "0.0.0.0" : "::"));
    } else if (typeof taken !== "object") {
      this.#adopt(way, family, taken);
    } else {
      taken.then(
        (socket) => this.#adopt(way, family, socket),
        (error: unknown) => {
          if (this.#ways[family] === way) this.#onError(error);
        },
      );
    }
    return this.#closed ? undefined : way;
  }

  /** Makes what the egress gave the way's socket, and sends what waits. */
  #adopt(way: Way, family: 4 | 6, taken: TakenSocket): void {
    if (this.#closed || this.#ways[family] !== way) {
      if (typeof taken === "number") closeSync(taken);
      return;
    }
    this.#open(way, family, (socket) =>
      typeof taken === "number" ? socket.bind({ fd: taken }) : socket.bind(0, taken),
    );
    for (const { address, port, payload } of way.datagrams.splice(0)) this.#sendTo(address, port, payload);
  }

  #open(way: Way, family: 4 | 6, bind: (socket: Socket) => void): void {
    const socket = createSocket({
      type: family === 4 ? "udp4" : "udp6",
      ipv6Only: family === 6,
      lookup: literalLookup,
    });
    // Where binding fails, what ends the association closes it.
    way.socket = socket;
    socket.on("error", (error) => this.#onError(error));
    socket.on("message", (payload: Buffer, from: RemoteInfo) => {
      if (!this.#closed) this.#receiver.onDatagram({ host: from.address, port: from.port }, payload);
    });
    bind(socket);
    const peer = this.#peer;
    if (peer && isIP(peer.host) === family) this.#connect(way, socket, peer);
  }

  /** Where it fails the socket stays as it was. The look-up is ours, so that it is connected, or has failed, on return. */
  #connect(way: Way, socket: Socket, { host, port }: Endpoint): void {
    try {
      socket.connect(port, host, ignoreSendError);
      socket.remoteAddress();
      way.connected = true;
    } catch {
      way.connected = false;
    }
  }

  #onError(error: unknown): void {
    const failure = error instanceof DialError ? error : toDialError(error, { host: "the network", port: 0 });
    // What ICMP or a firewall says of one target does not concern the others.
    if (failure.code === "limit" || failure.code === "internal" || error === failure) this.#end(failure);
  }

  #end(error: Error | undefined): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const { leave } of this.#waits.values()) leave();
    this.#waits.clear();
    for (const way of [this.#ways[4], this.#ways[6]]) closeSocket(way?.socket);
    this.#receiver.onClose(error);
  }
}

/** Addresses are literal by the time they reach a socket: answering at once keeps datagrams in their order. */
function literalLookup(
  host: string,
  _options: unknown,
  callback: (error: null, address: string, family: number) => void,
): void {
  callback(null, host, isIP(host));
}

function ignoreSendError(): void {
  // A datagram that can't be sent is a datagram lost, which UDP allows.
}

function closeSocket(socket: Socket | undefined): void {
  try {
    socket?.close();
  } catch {
    // It never opened.
  }
}
