import { closeSync } from "node:fs";
import { isIP } from "node:net";
import type { Endpoint } from "../endpoint.ts";
import { abortReason, DialError } from "../errors.ts";
import type { AssociateOptions, UdpAssociation, UdpDialer, UdpReceiver } from "./dialer.ts";
import type { Egress, SocketSource, TakenSocket } from "./egress.ts";
import { plainHost } from "./plain-host.ts";
import type { Answer, Resolver } from "./resolver.ts";
import { toDialError } from "./system-errors.ts";
import { udpBatch } from "./udp-batch.ts";
import { DgramSocket } from "./udp-dgram.ts";
import type { UdpSocket, UdpSocketOwner } from "./udp-socket.ts";

/** Datagrams that wait for one name; more are dropped. */
const MAX_WAITING = 16;
/** Bytes of datagrams that wait for names in one association before more are dropped. */
const MAX_WAITING_BYTES = 256 * 1024;

/** Datagrams to a name, until there is an answer for it. */
interface NameWait {
  readonly leave: () => void;
  readonly datagrams: { readonly port: number; readonly payload: Buffer }[];
}

/** A literal address. */
interface Address {
  readonly host: string;
  readonly port: number;
  readonly family: 4 | 6;
}

/** A datagram to an address, until the egress has a socket for it. */
interface Addressed {
  readonly to: Address;
  readonly payload: Buffer;
}

/** The socket of one address family, from when it is asked for. */
interface Way {
  /** Where it comes from; another one means a new socket. */
  readonly source: SocketSource | undefined;
  socket: UdpSocket | undefined;
  /** Until the socket is there. */
  readonly datagrams: Addressed[];
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

  /** The last target that was an address, and how that is written: most datagrams go where the one before went. */
  #lastTarget: Endpoint | undefined;
  #lastAddress: Address | undefined;

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
    if (target === this.#lastTarget && this.#lastAddress) {
      this.#sendTo(this.#lastAddress, payload);
      return;
    }
    if (this.#closed || !(port > 0 && port <= 65_535)) return;
    const host = plainHost(target.host);
    const address = addressOf(host, port);
    if (address) {
      this.#lastTarget = target;
      this.#lastAddress = address;
      this.#sendTo(address, payload);
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
    if (answer instanceof Error) return;
    const address = addressOf(plainHost(answer[0]!.address), port);
    if (address) this.#sendTo(address, payload);
  }

  #sendTo(to: Address, payload: Buffer): void {
    if (this.#closed) return;
    const way = this.#way(to.family, to.host);
    if (!way) return;
    if (way.socket) way.socket.send(to.host, to.port, payload);
    else if (way.datagrams.length < MAX_WAITING) way.datagrams.push({ to, payload });
  }

  /** The way of a family, opened when first needed and when the egress has changed; undefined where that ended it all. */
  #way(family: 4 | 6, target: string): Way | undefined {
    const { source } = this.#egress;
    const open = this.#ways[family];
    if (open && open.source === source) return open;
    open?.socket?.close();
    const way: Way = { source, socket: undefined, datagrams: [] };
    this.#ways[family] = way;
    const taken = source?.take(family, "dgram", target);
    if (taken === undefined) {
      this.#open(way, family, undefined);
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
    this.#open(way, family, taken);
    for (const { to, payload } of way.datagrams.splice(0)) this.#sendTo(to, payload);
  }

  #open(way: Way, family: 4 | 6, taken: TakenSocket | undefined): void {
    way.socket = openSocket(family, taken, {
      onDatagram: (source, payload) => this.#receiver.onDatagram(source, payload),
      onError: (error) => this.#onError(error),
    });
    const peer = this.#peer;
    if (peer && isIP(peer.host) === family) way.socket.connect(peer);
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
    for (const way of [this.#ways[4], this.#ways[6]]) way?.socket?.close();
    this.#receiver.onClose(error);
  }
}

/** @returns undefined for a name. */
function addressOf(host: string, port: number): Address | undefined {
  const family = isIP(host);
  return family === 4 || family === 6 ? { host, port, family } : undefined;
}

/** In a batch where that can be; for sockets that must be bound to an address of the machine's (`taken` is a text) it can't. */
function openSocket(family: 4 | 6, taken: TakenSocket | undefined, owner: UdpSocketOwner): UdpSocket {
  if (typeof taken !== "string") {
    try {
      const socket = udpBatch()?.open(family, taken, owner);
      if (socket) return socket;
    } catch {
      // Node's own socket meets the same obstacle and says so in its time, or does without.
    }
  }
  return new DgramSocket(family, taken, owner);
}
