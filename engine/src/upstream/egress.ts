import { closeSync } from "node:fs";
import { isIP, Socket, type SocketConstructorOpts } from "node:net";
import { abortReason, DialError } from "../errors.ts";
import { unkept } from "../keeper.ts";
import type { DialOptions } from "./dialer.ts";

/** Between the starts of two attempts (RFC 8305 §5). */
const ATTEMPT_DELAY_MS = 250;

/**
 * A descriptor of an unconnected socket (one for datagrams is bound to a port), which is the caller's to close; or, as a text,
 * this machine's address that a socket must be bound to.
 */
export type TakenSocket = number | string;

/** Makes sockets whose traffic a TUN device of ours does not capture. */
export interface SocketSource {
  /**
   * At once where there is one in stock.
   * @param target the address that it is for, where that is known.
   * @throws {DialError}
   */
  take(family: 4 | 6, kind: "stream" | "dgram", target?: string): TakenSocket | Promise<TakenSocket>;
}

/**
 * Where the engine's own sockets come from. Without a source they are plain ones; while the machine's traffic is captured
 * they come from a source, or the engine's connections would come back to it. It may change at any time: connections that
 * exist are not touched, as they have their local address already; datagram sockets are opened anew.
 *
 * A ProxyCommand of an SSH upstream opens its connection itself, in a process of its own: tun/own-programs.ts lets it through.
 */
export class Egress {
  source: SocketSource | undefined;
}

/** One address or several of one host, the first to be tried first. */
export interface ConnectTarget {
  readonly addresses: readonly string[];
  readonly port: number;
}

export type ConnectOptions = Pick<DialOptions, "signal" | "onread">;

/**
 * Connects with sockets of `source`. Addresses are tried in turn, families mixed, each 250 ms after the one before or as
 * soon as that failed (RFC 8305 §4 and §5); the first that connects counts.
 * @returns a socket as net.connect() would: half-open allowed, no delay, paused.
 * @throws {DialError} the signal's reason, or the source's; else a system error, or an AggregateError of them.
 */
export function connectFrom(
  source: SocketSource,
  { addresses, port }: ConnectTarget,
  options: ConnectOptions,
): Promise<Socket> {
  const { signal, onread } = options;
  // Most dials are to one address, and there are thousands a second of them.
  if (addresses.length === 1) return connectOne(source, addresses[0]!, port, options);
  return new Promise((resolve, reject) => {
    const queue = mixFamilies(addresses);
    const errors: unknown[] = [];
    const over = new AbortController();
    let running = 0;
    let timer: NodeJS.Timeout | undefined;
    const finish = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
      over.abort(raceOver);
    };
    const onAbort = (): void => {
      finish();
      reject(abortReason(signal));
    };
    const onFailure = (error: unknown): void => {
      running -= 1;
      errors.push(error);
      if (over.signal.aborted) return;
      if (queue.length > 0) {
        startNext();
      } else if (running === 0) {
        finish();
        const ours = errors.find((each) => each instanceof DialError);
        reject(ours ?? (errors.length === 1 ? toError(errors[0]) : new AggregateError(errors)));
      }
    };
    const startNext = (): void => {
      clearTimeout(timer);
      const address = queue.shift();
      if (address === undefined) return;
      running += 1;
      if (queue.length > 0) timer = setTimeout(startNext, ATTEMPT_DELAY_MS);
      connectOne(source, address, port, { signal: over.signal, onread }).then((socket) => {
        if (over.signal.aborted) {
          socket.destroy();
          return;
        }
        finish();
        resolve(socket);
      }, onFailure);
    };
    if (signal.aborted) {
      reject(abortReason(signal));
      return;
    }
    signal.addEventListener("abort", onAbort);
    startNext();
  });
}

/** Another address was quicker. A reason that is there already: making one each time is dear. */
const raceOver = new DialError("cancelled", "another address was connected first");

/** In the order given within each family, beginning with the first one's, the families taking turns. */
function mixFamilies(addresses: readonly string[]): string[] {
  const first = addresses.filter((address) => isIP(address) === isIP(addresses[0]!));
  const second = addresses.filter((address) => isIP(address) !== isIP(addresses[0]!));
  const mixed: string[] = [];
  for (let i = 0; i < Math.max(first.length, second.length); i++)
    mixed.push(...first.slice(i, i + 1), ...second.slice(i, i + 1));
  return mixed;
}

async function connectOne(
  source: SocketSource,
  host: string,
  port: number,
  { signal, onread }: ConnectOptions,
): Promise<Socket> {
  const taken = await source.take(isIP(host) === 6 ? 6 : 4, "stream", host);
  if (signal.aborted) {
    if (typeof taken === "number") closeSync(taken);
    throw abortReason(signal);
  }
  // Reading from a socket that is not connected is an error, so it must not start by itself.
  const options: SocketConstructorOpts & { readonly manualStart: true } = {
    ...(typeof taken === "number" && { fd: taken }),
    ...(onread && { onread }),
    allowHalfOpen: true,
    manualStart: true,
  };
  const socket = unkept(new Socket(options));
  socket.setNoDelay(true);
  socket.pause();
  return new Promise((resolve, reject) => {
    const settle = (): void => {
      signal.removeEventListener("abort", onAbort);
      socket.removeListener("connect", onConnect);
      socket.removeListener("error", onError);
      socket.on("error", ignoreError);
    };
    const onConnect = (): void => {
      settle();
      resolve(socket);
    };
    const onError = (error: Error): void => {
      settle();
      reject(error);
    };
    const onAbort = (): void => {
      settle();
      socket.destroy();
      reject(abortReason(signal));
    };
    signal.addEventListener("abort", onAbort);
    socket.on("connect", onConnect);
    socket.on("error", onError);
    socket.connect({ host, port, ...(typeof taken === "string" && { localAddress: taken }) });
  });
}

/**
 * Stays on every stream that is handed over, so that an error between two owners is never without a listener. It hides
 * nothing: `close` follows every error.
 */
export function ignoreError(): void {}

function toError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
