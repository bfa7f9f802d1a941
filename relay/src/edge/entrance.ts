import { Roster } from "@sockeye/wire/roster";
import type { Socket } from "node:net";
import {
  type ProxyEndpoint,
  ProxyHeaderReader,
  ProxyProtocolError,
  type ProxyVersion,
} from "@sockeye/wire/proxy-protocol";
import type { Admission, Slot } from "../limits/limits.ts";
import type { ConnectionRefusal, ListenerName, RelayObserver } from "../observer.ts";
import { plainAddress, type TrustedProxies } from "../public/forwarded.ts";

/** A connection that is let in, and who made it: as its socket says, or as the proxy in front of the relay does. */
export interface Guest {
  /** Paused where a PROXY header was read off it; what came after that is in it. */
  readonly socket: Socket;
  readonly source: ProxyEndpoint;
  /** What was connected to, as the one who connected knows it. */
  readonly destination: ProxyEndpoint;
  /** Given back when the socket closes, or before. */
  readonly slot: Slot;
}

export interface EntranceRules {
  readonly listener: ListenerName;
  readonly proxyProtocol: ProxyVersion | "any" | "off";
  readonly trusted: TrustedProxies;
  /** How long a proxy has for its header. */
  readonly headerMs: number;
  /** Connections that may be without their header at once. */
  readonly maxWaiting: number;
  /** Counts the connection in, by the address of whoever made it. */
  readonly admit: (source: string) => Admission;
  readonly observer: RelayObserver;
}

/**
 * The first moments of every connection on one listener: whose it is, and whether there is room for it. Where the PROXY protocol
 * is asked for, every connection begins with it and comes from a trusted proxy; any other is refused. Nothing is guessed: a
 * header that may be there or not would let whoever writes one choose their address (proxy-protocol.txt §2).
 */
export class Entrance {
  readonly #rules: EntranceRules;
  /** Connections whose header has not come yet. */
  readonly #waiting = new Roster<Socket>();

  constructor(rules: EntranceRules) {
    this.#rules = rules;
  }

  /** Takes a connection over. @param arrived is called at most once, with a socket that is open. */
  accept(socket: Socket, arrived: (guest: Guest) => void): void {
    socket.on("error", () => {});
    const source = { host: plainAddress(socket.remoteAddress), port: socket.remotePort ?? 0 };
    const destination = { host: plainAddress(socket.localAddress), port: socket.localPort ?? 0 };
    // It went again before we looked.
    if (source.host === "") return void socket.destroy();
    const { proxyProtocol, trusted, maxWaiting } = this.#rules;
    if (proxyProtocol === "off") this.#admit(socket, { source, destination }, arrived);
    else if (!trusted.includes(source.host))
      this.#refuse(socket, source.host, { header: "it is no trusted proxy" });
    else if (this.#waiting.size >= maxWaiting)
      this.#refuse(socket, source.host, { header: `${maxWaiting} connections wait for theirs` });
    else this.#readHeader(socket, { source, destination }, arrived);
  }

  /** Ends those that have not come in yet. */
  close(): void {
    for (const socket of this.#waiting) socket.destroy();
  }

  #readHeader(socket: Socket, proxy: Ends, arrived: (guest: Guest) => void): void {
    const { proxyProtocol, headerMs } = this.#rules;
    const reader = new ProxyHeaderReader(proxyProtocol as ProxyVersion | "any");
    const forget = () => {
      clearTimeout(late);
      this.#waiting.delete(socket);
      socket.off("data", read);
      socket.off("end", ended);
      socket.off("close", forget);
    };
    const refuse = (reason: string) => {
      forget();
      this.#refuse(socket, proxy.source.host, { header: reason });
    };
    const read = (chunk: Buffer) => {
      let whole: ReturnType<ProxyHeaderReader["push"]>;
      try {
        whole = reader.push(chunk);
      } catch (error) {
        if (!(error instanceof ProxyProtocolError)) throw error;
        refuse(error.message);
        return;
      }
      if (whole === undefined) return;
      forget();
      socket.pause();
      if (whole.rest.length > 0) socket.unshift(whole.rest);
      const { header } = whole;
      const ends =
        header.kind === "local"
          ? proxy
          : { source: plain(header.source), destination: plain(header.destination) };
      this.#admit(socket, ends, arrived);
    };
    const ended = () => refuse("it ended before its PROXY header");
    const late = setTimeout(() => refuse("its PROXY header did not come in time"), headerMs);
    this.#waiting.add(socket);
    socket.on("data", read);
    socket.on("end", ended);
    socket.on("close", forget);
  }

  #admit(socket: Socket, ends: Ends, arrived: (guest: Guest) => void): void {
    const admission = this.#rules.admit(ends.source.host);
    if ("refusal" in admission) {
      this.#refuse(socket, ends.source.host, { limit: admission.refusal.limit });
      return;
    }
    const { slot } = admission;
    socket.once("close", () => slot.release());
    arrived({ socket, ...ends, slot });
  }

  #refuse(socket: Socket, source: string, why: ConnectionRefusal): void {
    this.#rules.observer.connectionRefused(this.#rules.listener, source, why);
    socket.resetAndDestroy();
  }
}

interface Ends {
  readonly source: ProxyEndpoint;
  readonly destination: ProxyEndpoint;
}

function plain({ host, port }: ProxyEndpoint): ProxyEndpoint {
  return { host: plainAddress(host), port };
}
