import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { lookup } from "node:dns";
import { isIP } from "node:net";
import type { Endpoint } from "../endpoint.ts";
import { abortReason } from "../errors.ts";
import type { DialOptions, UdpAssociation, UdpDialer, UdpReceiver } from "./dialer.ts";
import { plainHost } from "./plain-host.ts";
import { toDialError } from "./system-errors.ts";

/** How long an answer of the resolver is used; an error as long, so that a wrong name is not asked for with each datagram. */
const NAME_TTL_MS = 10_000;
/** Names remembered at one time; the oldest is forgotten first. */
const MAX_NAMES = 1024;
/** Datagrams that wait for one name; more are dropped. */
const MAX_WAITING = 16;
/** Bytes that wait in one socket before datagrams are dropped. */
const MAX_QUEUED_BYTES = 1 << 20;

type Resolved = { readonly address: string } | "failed";

type Resolve = (name: string, done: (resolved: Resolved) => void) => void;

interface NameEntry {
  resolved: Resolved | undefined;
  readonly expires: number;
  /** What to do with the answer, while there is none. */
  readonly waiting: ((resolved: Resolved) => void)[];
}

/** UDP over the machine's own network: one socket for each address family that an association uses. */
export class DirectUdpDialer implements UdpDialer {
  readonly #names = new Map<string, NameEntry>();

  async associate(receiver: UdpReceiver, options: DialOptions): Promise<UdpAssociation> {
    if (options.signal.aborted) throw abortReason(options.signal);
    return new DirectUdpAssociation(receiver, (name, done) => this.#resolve(name, done));
  }

  /** Calls back with an address for `name`: at once from memory, later from the resolver, never when too many wait. */
  #resolve(name: string, done: (resolved: Resolved) => void): void {
    const known = this.#names.get(name);
    if (known && (known.resolved === undefined || known.expires > performance.now())) {
      if (known.resolved !== undefined) done(known.resolved);
      else if (known.waiting.length < MAX_WAITING) known.waiting.push(done);
      return;
    }
    this.#names.delete(name);
    if (this.#names.size >= MAX_NAMES) this.#names.delete(this.#names.keys().next().value!);
    const entry: NameEntry = {
      resolved: undefined,
      expires: performance.now() + NAME_TTL_MS,
      waiting: [done],
    };
    this.#names.set(name, entry);
    lookup(name, (error, address) => {
      entry.resolved = error ? "failed" : { address };
      for (const callback of entry.waiting.splice(0)) callback(entry.resolved);
    });
  }
}

class DirectUdpAssociation implements UdpAssociation {
  readonly #receiver: UdpReceiver;
  readonly #resolve: Resolve;
  readonly #sockets: { 4: Socket | undefined; 6: Socket | undefined } = { 4: undefined, 6: undefined };
  #closed = false;

  constructor(receiver: UdpReceiver, resolve: Resolve) {
    this.#receiver = receiver;
    this.#resolve = resolve;
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
    this.#resolve(host, (resolved) => {
      if (resolved !== "failed") this.#sendTo(plainHost(resolved.address), port, payload);
    });
  }

  close(): void {
    this.#end(undefined);
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
