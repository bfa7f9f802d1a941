import { createSocket, type RemoteInfo, type Socket as UdpSocket } from "node:dgram";
import { once } from "node:events";
import { isIPv6, type Socket } from "node:net";
import { readUdpHeader, Socks5Error, type SocksAddress, writeUdpHeader } from "@sockeye/wire/socks5";
import type { Endpoint } from "../endpoint.ts";
import { plainAddress, sourceOf } from "./listener.ts";
import type { DatagramPort } from "./request.ts";

/** Bytes waiting to be sent to one client; past it datagrams are dropped, as UDP may. */
const MAX_SEND_QUEUE_BYTES = 1024 * 1024;

/**
 * A client's UDP association (RFC 1928 §7): a UDP socket on the address that its TCP connection came in on, which lives as
 * long as that connection. Datagrams count only from the client's own address and, once one came, from that port.
 */
export class SocksDatagramPort implements DatagramPort {
  readonly inbound = "socks5";
  readonly source: Endpoint;
  onDatagram: (target: Endpoint, payload: Buffer) => void = ignore;
  onClose: () => void = ignore;

  readonly #control: Socket;
  readonly #udp: UdpSocket;
  /** 0 until it is known. */
  #clientPort: number;
  #closed = false;
  /** The header last written, since most datagrams come from where the one before came from. */
  #headerSource: Endpoint | undefined;
  #header: Buffer = Buffer.alloc(0);

  /**
   * Opens the association.
   * @param expected the DST.ADDR and DST.PORT of the request: where the client says it will send from. Its port holds if the
   * address is the client's own or unspecified; another address is one from before an address translation, and means nothing.
   * @throws {Error} when the system gives no UDP socket.
   */
  static async open(control: Socket, expected: SocksAddress): Promise<SocksDatagramPort> {
    const address = plainAddress(control.localAddress ?? "");
    const udp = createSocket(isIPv6(address) ? "udp6" : "udp4");
    try {
      udp.bind({ address, port: 0, exclusive: true });
      await once(udp, "listening");
      return new SocksDatagramPort(control, udp, expected);
    } catch (error) {
      udp.close();
      throw error;
    }
  }

  private constructor(control: Socket, udp: UdpSocket, expected: SocksAddress) {
    this.#control = control;
    this.#udp = udp;
    this.source = sourceOf(control);
    const speaksOfClient =
      expected.host === this.source.host || expected.host === "0.0.0.0" || expected.host === "::";
    this.#clientPort = speaksOfClient ? expected.port : 0;
    const close = (): void => this.close();
    udp.on("error", close);
    udp.on("message", (datagram, from) => this.#receive(datagram, from));
    control.on("end", close);
    control.on("close", close);
    control.resume();
    if (control.destroyed || control.readableEnded) close();
  }

  /** Where the client is to send. */
  get address(): Endpoint {
    const { address, port } = this.#udp.address();
    return { host: address, port };
  }

  get closed(): boolean {
    return this.#closed;
  }

  deliver(source: Endpoint, payload: Buffer): void {
    if (this.#closed || this.#clientPort === 0) return;
    if (this.#udp.getSendQueueSize() > MAX_SEND_QUEUE_BYTES) return;
    if (this.#headerSource?.host !== source.host || this.#headerSource.port !== source.port) {
      this.#headerSource = source;
      this.#header = writeUdpHeader(source);
    }
    this.#udp.send([this.#header, payload], this.#clientPort, this.source.host, ignore);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#udp.close();
    this.#control.destroy();
    this.onClose();
  }

  #receive(datagram: Buffer, from: RemoteInfo): void {
    if (plainAddress(from.address) !== this.source.host) return;
    if (this.#clientPort !== 0 && from.port !== this.#clientPort) return;
    try {
      const { address, payload } = readUdpHeader(datagram);
      this.#clientPort = from.port;
      this.onDatagram(address, payload);
    } catch (error) {
      if (!(error instanceof Socks5Error)) throw error;
    }
  }
}

function ignore(): void {}
