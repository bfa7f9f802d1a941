import { Duplex } from "node:stream";
import type { Client, ClientChannel } from "ssh2";
import type { Endpoint } from "../../endpoint.ts";
import { abortReason } from "../../errors.ts";

/** What all channels of one connection may hold unread, in bytes. */
export class ReceiveBudget {
  readonly bytes: number;
  constructor(bytes: number) {
    this.bytes = bytes;
  }
}

interface OpenOptions {
  readonly source?: Endpoint;
  readonly signal: AbortSignal;
  readonly receiveBudget: ReceiveBudget;
}

/** Opens a direct-tcpip channel (RFC 4254 §7.2). Rejects with ssh2's error, or with the signal's reason. */
export async function openDirectTcpip(
  client: Client,
  target: Endpoint,
  options: OpenOptions,
): Promise<Duplex> {
  const { source = { host: "127.0.0.1", port: 0 }, signal } = options;
  if (signal.aborted) throw abortReason(signal);
  const { promise, resolve, reject } = Promise.withResolvers<Duplex>();
  const onAbort = (): void => reject(abortReason(signal));
  signal.addEventListener("abort", onAbort, { once: true });
  client.forwardOut(source.host, source.port, target.host, target.port, (error, channel) => {
    signal.removeEventListener("abort", onAbort);
    if (error) reject(error);
    else if (signal.aborted) channel.destroy();
    else resolve(new DirectTcpip(channel));
  });
  return await promise;
}

class DirectTcpip extends Duplex {
  readonly #channel: ClientChannel;

  constructor(channel: ClientChannel) {
    super({ allowHalfOpen: true });
    this.#channel = channel;
    channel.on("data", (chunk: Buffer) => {
      if (!this.push(chunk)) channel.pause();
    });
    channel.on("end", () => this.push(null));
    channel.on("close", () => this.end());
    channel.on("error", (error: Error) => this.destroy(error));
    channel.pause();
  }

  override _read(): void {
    this.#channel.resume();
  }

  override _write(chunk: Buffer, encoding: BufferEncoding, done: () => void): void {
    if (this.#channel.writable) this.#channel.write(chunk, encoding, done);
    else this.destroy();
  }

  override _final(done: () => void): void {
    this.#channel.end();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#channel.destroy();
    this.#channel.resume();
    done(error);
  }
}
