import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { isIP } from "node:net";
import type { Endpoint } from "../endpoint.ts";
import { abortReason } from "../errors.ts";
import type { DialOptions, UdpAssociation, UdpDialer, UdpReceiver } from "./dialer.ts";
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

/** UDP over the machine's own network: one socket for each address family that an association uses. */
export class DirectUdpDialer implements UdpDialer {
  readonly #resolver: Resolver;

  constructor(resolver: Resolver) {
    this.#resolver = resolver;
  }

  async associate(receiver: UdpReceiver, options: DialOptions): Promise<UdpAssociation> {
    if (options.signal.aborted) throw abortReason(options.signal);
    // Datagrams' names wait apart from connections', which a flood of datagrams must not hold up.
    return new DirectUdpAssociation(receiver, this.#resolver, `udp ${options.source ?? ""}`);
  }
}

class DirectUdpAssociation implements UdpAssociation {
  readonly #receiver: UdpReceiver;
  readonly #resolver: Resolver;
  readonly #source: string;
  readonly #waits = new Map<string, NameWait>();
  #waitingBytes = 0;
  readonly #sockets: { 4: Socket | undefined; 6: Socket | undefined } = { 4: undefined, 6: undefined };
  #closed = false;

  constructor(receiver: UdpReceiver, resolver: Resolver, source: string) {
    this.#receiver = receiver;
    this.#resolver = resolver;
    this.#source = source;
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
    const socket = isIP(address) === 4 ? this.#socket(4) : this.#socket(6);
    if (!socket || socket.getSendQueueSize() > MAX_QUEUED_BYTES) return;
    socket.send(payload, port, address, ignoreSendError);
  }

  /** The socket of a family, opened when it is first needed; undefined where opening it ended the association. */
  #socket(family: 4 | 6): Socket | undefined {
    const open = this.#sockets[family];
    if (open) return open;
    const socket = createSocket({
      type: family === 4 ? "udp4" : "udp6",
      ipv6Only: family === 6,
      lookup: literalLookup,
    });
    this.#sockets[family] = socket;
    socket.on("error", (error) => this.#onError(error));
    socket.on("message", (payload: Buffer, from: RemoteInfo) => {
      if (!this.#closed) this.#receiver.onDatagram({ host: from.address, port: from.port }, payload);
    });
    socket.bind(0, family === 4 ? "0.0.0.0" : "::");
    return this.#closed ? undefined : socket;
  }

  #onError(error: Error): void {
    const failure = toDialError(error, { host: "the network", port: 0 });
    // What ICMP or a firewall says of one target does not concern the others.
    if (failure.code === "limit" || failure.code === "internal") this.#end(failure);
  }

  #end(error: Error | undefined): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const { leave } of this.#waits.values()) leave();
    this.#waits.clear();
    for (const socket of [this.#sockets[4], this.#sockets[6]]) closeSocket(socket);
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
