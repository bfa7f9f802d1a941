import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { getSystemErrorMessage, getSystemErrorName } from "node:util";
import type { Endpoint } from "../endpoint.ts";
import type { UdpSocket, UdpSocketOwner } from "./udp-socket.ts";

/** native/udp/module.cc. The arrays are views of memory that native code fills and reads. */
interface NativeSockets {
  /** Of datagrams that came: RECEIVED_FIELDS each. */
  readonly came: Int32Array;
  readonly incoming: Uint8Array;
  /** Bytes from one datagram's place in `incoming` to the next one's. */
  readonly room: number;
  /** Of datagrams that are to be sent: SENT_FIELDS each. */
  readonly toSend: Int32Array;
  readonly outgoing: Uint8Array;
  adopt(descriptor: number): number;
  open(family: 4 | 6): number;
  connect(socket: number, host: string, port: number): boolean;
  flush(count: number): void;
  address(host: string, port: number): Uint8Array | undefined;
  source(index: number): [host: string, port: number];
  close(socket: number): void;
}

interface NativeModule {
  readonly UdpSockets: new (onDatagrams: (count: number) => void) => NativeSockets;
}

/** Socket, length and whether the source is another than the one before; native/udp/layout.h. */
const RECEIVED_FIELDS = 3;
/** Socket, place, length, and place of the target's address. */
const SENT_FIELDS = 4;
/** An address as native code has it, of either family. */
const ADDRESS_BYTES = 28;
const NO_ADDRESS = -1;

/**
 * UDP sockets of Linux whose datagrams come and go many at a time: what is sent in one turn of the event loop leaves at its end,
 * with one system call for each socket, and what has come is handed over by one call for all.
 */
export class UdpBatch {
  readonly #native: NativeSockets;
  readonly #sockets = new Map<number, BatchedSocket>();
  readonly #incoming: Buffer;
  readonly #outgoing: Buffer;
  readonly #toSend: Int32Array;
  readonly #maxToSend: number;
  #count = 0;
  #bytes = 0;
  #flush: NodeJS.Immediate | undefined;

  constructor(native: NativeModule) {
    this.#native = new native.UdpSockets((count) => this.#receive(count));
    this.#incoming = asBuffer(this.#native.incoming);
    this.#outgoing = asBuffer(this.#native.outgoing);
    this.#toSend = this.#native.toSend;
    this.#maxToSend = this.#toSend.length / SENT_FIELDS;
  }

  /**
   * @param bound a descriptor, which is taken over; without one, a socket that is bound to any port of the machine's.
   * @throws a system error; the descriptor is the caller's then.
   */
  open(family: 4 | 6, bound: number | undefined, owner: UdpSocketOwner): UdpSocket {
    const id = bound === undefined ? this.#native.open(family) : this.#native.adopt(bound);
    const socket = new BatchedSocket(this, id, owner);
    this.#sockets.set(id, socket);
    return socket;
  }

  /** @internal */
  connect(id: number, { host, port }: Endpoint): boolean {
    return this.#native.connect(id, host, port);
  }

  /** @internal */
  addressOf(host: string, port: number): Uint8Array | undefined {
    return this.#native.address(host, port);
  }

  /** @internal @param address of the target; absent where the socket is connected to it. */
  send(id: number, payload: Uint8Array, address: Uint8Array | undefined): void {
    const needed = payload.length + (address ? ADDRESS_BYTES : 0);
    if (needed > this.#outgoing.length) return;
    if (this.#count === this.#maxToSend || this.#bytes + needed > this.#outgoing.length) this.#flushNow();
    const field = this.#count * SENT_FIELDS;
    this.#toSend[field] = id;
    this.#toSend[field + 1] = this.#bytes;
    this.#toSend[field + 2] = payload.length;
    this.#toSend[field + 3] = address ? this.#bytes + payload.length : NO_ADDRESS;
    this.#outgoing.set(payload, this.#bytes);
    if (address) this.#outgoing.set(address, this.#bytes + payload.length);
    this.#bytes += needed;
    this.#count++;
    this.#flush ??= setImmediate(() => this.#flushNow());
  }

  /** @internal What was sent before leaves before. */
  close(id: number): void {
    this.#flushNow();
    this.#sockets.delete(id);
    this.#native.close(id);
  }

  #flushNow(): void {
    clearImmediate(this.#flush);
    this.#flush = undefined;
    if (this.#count === 0) return;
    this.#native.flush(this.#count);
    this.#count = 0;
    this.#bytes = 0;
  }

  #receive(count: number): void {
    const { came, room } = this.#native;
    for (let i = 0; i < count; i++) {
      // Whoever was handed one of the burst may have closed another's socket.
      const socket = this.#sockets.get(came[i * RECEIVED_FIELDS]!);
      if (!socket) continue;
      const length = came[i * RECEIVED_FIELDS + 1]!;
      if (length < 0) {
        socket.owner.onError(systemError(length));
        continue;
      }
      if (came[i * RECEIVED_FIELDS + 2] !== 0 || !socket.lastSource) {
        const [host, port] = this.#native.source(i);
        socket.lastSource = { host, port };
      }
      const payload = Buffer.allocUnsafe(length);
      this.#incoming.copy(payload, 0, i * room, i * room + length);
      socket.owner.onDatagram(socket.lastSource, payload);
    }
  }
}

class BatchedSocket implements UdpSocket {
  readonly owner: UdpSocketOwner;
  lastSource: Endpoint | undefined;
  readonly #batch: UdpBatch;
  readonly #id: number;
  #closed = false;
  /** Whom it is connected to. */
  #peer: Endpoint | undefined;
  /** The last target and the bytes of its address: most datagrams go where the one before went. */
  #host = "";
  #port = 0;
  #address: Uint8Array | undefined;

  constructor(batch: UdpBatch, id: number, owner: UdpSocketOwner) {
    this.#batch = batch;
    this.#id = id;
    this.owner = owner;
  }

  connect(peer: Endpoint): boolean {
    const connected = this.#batch.connect(this.#id, peer);
    if (connected) this.#peer = peer;
    return connected;
  }

  send(host: string, port: number, payload: Buffer): void {
    if (this.#closed) return;
    if (this.#peer) {
      if (host === this.#peer.host && port === this.#peer.port)
        this.#batch.send(this.#id, payload, undefined);
      return;
    }
    if (host !== this.#host || port !== this.#port) {
      this.#host = host;
      this.#port = port;
      this.#address = this.#batch.addressOf(host, port);
    }
    if (this.#address) this.#batch.send(this.#id, payload, this.#address);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#batch.close(this.#id);
  }
}

function systemError(number: number): Error {
  return Object.assign(new Error(getSystemErrorMessage(number)), { code: getSystemErrorName(number) });
}

function asBuffer(view: Uint8Array): Buffer {
  return Buffer.from(view.buffer as ArrayBuffer, view.byteOffset, view.byteLength);
}

let loaded: UdpBatch | undefined | null = null;

/** This process's; undefined where the module is not there, or `SOCKEYE_UDP=node` keeps to Node's own sockets. */
export function udpBatch(): UdpBatch | undefined {
  if (loaded === null) loaded = load();
  return loaded;
}

function load(): UdpBatch | undefined {
  if (process.env["SOCKEYE_UDP"] === "node") return undefined;
  const path = fileURLToPath(new URL("../../../native/udp/build/Release/udp.node", import.meta.url));
  if (!existsSync(path)) return undefined;
  try {
    return new UdpBatch(createRequire(import.meta.url)(path) as NativeModule);
  } catch {
    return undefined; // Another system's, or one without epoll.
  }
}
