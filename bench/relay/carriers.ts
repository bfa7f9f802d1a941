import type { Endpoint } from "@sockeye/config-kit/endpoint";
import type { Child } from "../child.ts";
import type { Origin } from "../load/load.ts";

/** Somebody who publishes the origin: a server for the public, and a client beside the origin. */
export interface Carrier {
  readonly name: string;
  /** What runs between server and client; what is compared is alike in this. */
  readonly link: "clear" | "encrypted";
  /** The programs it needs. */
  readonly needs: readonly string[];
  /** Starts it; `stack` is given all that there is to end. @throws {Error} where it does not start. */
  start(wish: Wish, stack: AsyncDisposableStack): Promise<Carrying>;
}

export interface Wish {
  readonly origin: Origin;
  /**
   * The client's way to the server: to the server itself, or to a long link before it.
   * @param lastByte of a link's address, 127.0.0.x, where the client can't be told a port and so needs the server's own.
   */
  readonly approach: (serverPort: number, lastByte?: number) => Promise<Endpoint>;
}

/** Where the public finds the origin. */
export interface Carrying {
  /** The origin's HTTP port, under a name that the server looks for in each request. */
  readonly byName: { readonly port: number; readonly host: string } | undefined;
  /** The origin's HTTP port, as a TCP port. */
  readonly http: number;
  /** The origin's echo, as a TCP port. */
  readonly echo: number;
  /** The server, then what runs beside the origin. */
  readonly children: readonly Child[];
}
