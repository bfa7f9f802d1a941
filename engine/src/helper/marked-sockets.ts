import { closeSync } from "node:fs";
import { DialError } from "../errors.ts";
import type { SocketSource } from "../upstream/egress.ts";
import type { AddressFamily, SocketKind } from "./protocol.ts";

/** Where fewer are left, more are asked for. */
const LOW = 16;
/** Asked for at one time; with LOW, the most that one kind holds in stock. */
const BATCH = 48;
/** Takers that wait for one kind of socket; more are refused. */
const MAX_WAITING = 4096;

interface Stock {
  readonly family: AddressFamily;
  readonly kind: SocketKind;
  readonly free: number[];
  readonly waiting: { resolve: (descriptor: number) => void; reject: (error: DialError) => void }[];
  filling: boolean;
}

/** What of HelperClient is needed here. */
export interface SocketMaker {
  sockets(family: AddressFamily, kind: SocketKind, count: number): Promise<readonly number[]>;
}

/**
 * A small stock of sockets that pass the TUN device by, so that a dial does not wait for the helper. A kind of socket is
 * stocked from when it is first asked for.
 */
export class MarkedSockets implements SocketSource {
  readonly #maker: SocketMaker;
  readonly #stocks = new Map<string, Stock>();
  #closed = false;

  constructor(maker: SocketMaker) {
    this.#maker = maker;
  }

  take(family: AddressFamily, kind: SocketKind): number | Promise<number> {
    if (this.#closed) return Promise.reject(closedError());
    const stock = this.#stock(family, kind);
    const descriptor = stock.free.pop();
    if (stock.free.length < LOW) this.#fill(stock);
    if (descriptor !== undefined) return descriptor;
    if (stock.waiting.length >= MAX_WAITING)
      return Promise.reject(new DialError("limit", "too many connections wait for a socket of the helper"));
    return new Promise((resolve, reject) => stock.waiting.push({ resolve, reject }));
  }

  /** Closes what is in stock; whoever waits is refused. Sockets that were taken are their takers'. */
  close(): void {
    this.#closed = true;
    for (const stock of this.#stocks.values()) {
      for (const descriptor of stock.free.splice(0)) closeSync(descriptor);
      for (const { reject } of stock.waiting.splice(0)) reject(closedError());
    }
  }

  #stock(family: AddressFamily, kind: SocketKind): Stock {
    const key = `${family} ${kind}`;
    let stock = this.#stocks.get(key);
    if (!stock) {
      stock = { family, kind, free: [], waiting: [], filling: false };
      this.#stocks.set(key, stock);
    }
    return stock;
  }

  #fill(stock: Stock): void {
    if (stock.filling) return;
    stock.filling = true;
    void this.#maker
      .sockets(stock.family, stock.kind, BATCH)
      .then(
        (descriptors) => this.#deliver(stock, descriptors),
        (cause: unknown) => this.#refuse(stock, new DialError("internal", wordsOf(cause), { cause })),
      )
      .finally(() => {
        stock.filling = false;
        if (!this.#closed && stock.waiting.length > 0) this.#fill(stock);
      });
  }

  #deliver(stock: Stock, descriptors: readonly number[]): void {
    for (const descriptor of descriptors) {
      if (this.#closed) closeSync(descriptor);
      else if (stock.waiting.length > 0) stock.waiting.shift()!.resolve(descriptor);
      else stock.free.push(descriptor);
    }
    if (descriptors.length < BATCH)
      this.#refuse(stock, new DialError("limit", "this process has no descriptors left for a connection"));
  }

  #refuse(stock: Stock, error: DialError): void {
    for (const { reject } of stock.waiting.splice(0)) reject(error);
  }
}

function closedError(): DialError {
  return new DialError("closed", "the machine's traffic is not captured any more");
}

function wordsOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
