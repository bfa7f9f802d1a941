import type { Socket } from "node:net";
import { headerValue, HeadReader, isNamed, type RequestHead } from "@sockeye/wire/http-head";
import type { Deadline, DeadlineQueue } from "../deadline-queue.ts";
import { keeper } from "../keeper.ts";
import { ignoreError } from "./listener.ts";

interface NewSocket extends Socket {
  [keeper]?: Newcomer | undefined;
}

/**
 * A connection whose first bytes have not come. It is held until then, because most connections to a proxy ask for a tunnel
 * and are never HTTP again: node:http spends more on each than SOCKS5's whole handshake costs. The time for the rest of a head begins when its first bytes are there.
 */
export class Newcomer {
  readonly socket: Socket;
  readonly #deadline: Deadline<Newcomer>;
  readonly #waiting: DeadlineQueue<Newcomer>;
  readonly #onFirst: (socket: Socket, chunk: Buffer) => void;

  /**
   * @param waiting tells when it has taken too long; the newcomer is done with then.
   * @param onFirst gets the socket, without listeners but one for errors, and its first bytes. It is not called where the
   * client has ended before.
   */
  constructor(
    socket: NewSocket,
    waiting: DeadlineQueue<Newcomer>,
    onFirst: (socket: Socket, chunk: Buffer) => void,
  ) {
    this.socket = socket;
    this.#waiting = waiting;
    this.#onFirst = onFirst;
    this.#deadline = waiting.add(this);
    socket[keeper] = this;
    socket.on("error", ignoreError);
    socket.on("close", onClose);
    socket.on("end", onEnd);
    socket.on("data", onData);
  }

  took(chunk: Buffer): void {
    this.leave();
    this.#onFirst(this.socket, chunk);
  }

  leave(): void {
    const socket: NewSocket = this.socket;
    socket[keeper] = undefined;
    this.#waiting.lift(this.#deadline);
    socket.off("close", onClose);
    socket.off("end", onEnd);
    socket.off("data", onData);
  }
}

function onData(this: NewSocket, chunk: Buffer): void {
  this[keeper]?.took(chunk);
}

function onEnd(this: NewSocket): void {
  this.destroy();
}

function onClose(this: NewSocket): void {
  this[keeper]?.leave();
}

const CONNECT = Buffer.from("CONNECT ");

/** Headers that make a CONNECT something that needs an answer of its own. */
const UNUSUAL = ["expect", "content-length", "transfer-encoding", "upgrade"];

/**
 * The head of a CONNECT as nearly all clients send it: whole in the first bytes, and nothing wrong or unusual about it.
 * @returns undefined for all else, about which node:http has more to say.
 */
export function readPlainConnect(
  chunk: Buffer,
  maxBytes: number,
): { readonly head: RequestHead; readonly rest: Buffer } | undefined {
  if (chunk.length < CONNECT.length || CONNECT.compare(chunk, 0, CONNECT.length) !== 0) return undefined;
  try {
    const read = new HeadReader("request", maxBytes).push(chunk);
    const isUsual = !read?.head.headers.some(({ name }) => UNUSUAL.some((other) => isNamed(name, other)));
    return isUsual ? read : undefined;
  } catch {
    return undefined;
  }
}

/** What a CONNECT presents to be let in. */
export function credentialsOf({ headers }: RequestHead): string | undefined {
  return headerValue(headers, "proxy-authorization");
}
