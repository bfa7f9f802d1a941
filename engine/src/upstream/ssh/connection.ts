/** One SSH connection and the channels on it. */
import { Roster } from "@sockeye/wire/roster";
import type { Duplex } from "node:stream";
import { formatEndpoint, type Endpoint } from "../../endpoint.ts";
import { DialError } from "../../errors.ts";
import type { DialOptions } from "../dialer.ts";
import { brief } from "../first-words.ts";
import { dialVia } from "../links.ts";
import type { Session } from "../session-pool.ts";
import { openDirectTcpip, ReceiveBudget } from "./channel.ts";
import { shakeHands, type Handshake, type HandshakeOptions, type SshContext } from "./handshake.ts";
import { resolveHop, resolveHost, type SshHost } from "./host.ts";
import { Keepalive } from "./keepalive.ts";
import { ChannelMux } from "./mux.ts";
import { startProxyCommand } from "./proxy-command.ts";

/** ProxyJump may lead to a host that has a ProxyJump of its own; a longer way than this goes in circles. */
const maxHops = 8;
/** From our goodbye to the end of the transport, when the peer does not end it. */
const goodbyeMs = 500;

/**
 * Connects to the server that the upstream's configuration names, over its hops.
 * @throws {DialError} scope upstream.
 */
export async function connectSsh(context: SshContext, options: HandshakeOptions): Promise<SshConnection> {
  const host = await resolveHost(context.config, context.connectTimeout);
  return await connectTo(host, context, options, 0);
}

async function connectTo(
  host: SshHost,
  context: SshContext,
  options: HandshakeOptions,
  depth: number,
): Promise<SshConnection> {
  if (depth > maxHops) {
    throw new DialError(
      "unsupported",
      `ProxyJump of ${host.alias} leads through more than ${maxHops} hosts`,
      {
        scope: "upstream",
      },
    );
  }
  let lastHop: SshConnection | undefined;
  try {
    // A hop has a time limit of its own, so it is up before the host's time limit starts.
    if (host.proxy !== undefined && "jump" in host.proxy) {
      lastHop = await connectHops(host.proxy.jump, context, options, depth);
    }
    const hop = lastHop;
    const handshake = await shakeHands(
      host,
      context,
      async ({ signal, onStep, onread }) => openTransport(host, context, hop, { signal, onStep, onread }),
      options,
    );
    const connection = new SshConnection(host, context, handshake);
    // The hop lives as long as what runs over it, and not a moment longer.
    if (hop !== undefined) connection.onceClosed(() => hop.close());
    lastHop = undefined;
    return connection;
  } finally {
    lastHop?.close();
  }
}

/** The hops in order, each over the one before it. */
async function connectHops(
  hops: readonly string[],
  context: SshContext,
  options: HandshakeOptions,
  depth: number,
): Promise<SshConnection> {
  let connection: SshConnection | undefined;
  try {
    for (const hop of hops) {
      const resolved = await resolveHop(hop, context.config, context.connectTimeout);
      const previous: SshConnection | undefined = connection;
      // The hop before says how to get there; only the first goes its own way.
      const host = previous === undefined ? resolved : { ...resolved, proxy: undefined };
      const over = previous === undefined ? context : { ...context, via: previous };
      connection = await connectTo(host, over, options, depth + 1);
      if (previous !== undefined) connection.onceClosed(() => previous.close());
    }
    const last = connection;
    if (last === undefined)
      throw new DialError("unsupported", "ProxyJump names no host", { scope: "upstream" });
    connection = undefined;
    return last;
  } catch (error) {
    throw error instanceof DialError ? error.asUpstreamFailure(`ProxyJump ${hops.join(",")}`) : error;
  } finally {
    connection?.close();
  }
}

async function openTransport(
  host: SshHost,
  context: SshContext,
  hop: SshConnection | undefined,
  options: DialOptions,
): Promise<Duplex> {
  if (host.proxy !== undefined && "command" in host.proxy) return startProxyCommand(host.proxy.command, host);
  try {
    if (hop !== undefined) return await hop.dial(host.server, options);
    return await dialVia(context.via, host.server, options);
  } catch (error) {
    if (!(error instanceof DialError) || error === options.signal.reason) throw error;
    throw error.asUpstreamFailure(`no connection to ${formatEndpoint(host.server)}`);
  }
}

function ignoreError(): void {}

export class SshConnection implements Session {
  readonly #host: SshHost;
  readonly #client: Handshake["client"];
  readonly #transport: Duplex;
  readonly #keepalive: Keepalive;
  readonly #receiveBudget: ReceiveBudget;
  readonly #streams = new Roster<Duplex>();
  readonly #closeListeners: ((error: DialError) => void)[] = [];
  #closedBy: DialError | undefined;
  #opening = 0;

  constructor(host: SshHost, context: SshContext, { client, transport, onError }: Handshake) {
    this.#host = host;
    this.#client = client;
    this.#transport = transport;
    this.#receiveBudget = new ReceiveBudget(context.receiveBudgetBytes);
    const where = formatEndpoint(host.server);
    onError((error) => this.#fail(`the connection to ${where} broke: ${brief(error.message)}`, error));
    client.once("end", () => this.#fail(`${where} ended the connection`));
    client.once("close", () => this.#fail(`the connection to ${where} ended`));
    this.#keepalive = new Keepalive(client, transport, {
      intervalMs: host.keepaliveIntervalMs,
      countMax: host.keepaliveCountMax,
      onAnswer: (ms) => ChannelMux.of(client).observeRoundTrip(ms),
      onDead: (silentMs) => this.#fail(`${where} has not answered for ${(silentMs / 1000).toFixed(1)} s`),
    });
    // It may have ended between the handshake and now.
    if (transport.destroyed || transport.readableEnded) this.#fail(`${where} ended the connection`);
  }

  get active(): number {
    return this.#streams.size + this.#opening;
  }

  get latencyMs(): number | undefined {
    return this.#keepalive.latencyMs;
  }

  get closedBy(): DialError | undefined {
    return this.#closedBy;
  }

  /** Called once, at once where it has closed already. */
  onceClosed(listener: (error: DialError) => void): void {
    if (this.#closedBy === undefined) this.#closeListeners.push(listener);
    else listener(this.#closedBy);
  }

  /** Opens a channel. A refusal costs the connection nothing. */
  async dial(target: Endpoint, options: DialOptions): Promise<Duplex> {
    options.onStep?.("dial");
    if (this.#closedBy !== undefined) throw this.#closedBy;
    this.#opening++;
    try {
      const { signal } = options;
      const stream = await openDirectTcpip(this.#client, target, {
        signal,
        receiveBudget: this.#receiveBudget,
      });
      this.#adopt(stream);
      return stream;
    } catch (error) {
      // The connection's own end says more than the channel's.
      throw this.closedBy ?? error;
    } finally {
      this.#opening--;
    }
  }

  #adopt(stream: Duplex): void {
    // Cut with an error, a stream whose owner has not put a listener on it yet must not end the process.
    stream.on("error", ignoreError);
    if (stream.closed) return;
    this.#streams.add(stream);
    stream.once("close", () => this.#streams.delete(stream));
    if (this.#closedBy !== undefined) stream.destroy(this.#closedBy);
  }

  refresh(): void {
    if (this.#closedBy === undefined) this.#keepalive.check();
  }

  /** Says goodbye; streams that are still open are cut. */
  close(): void {
    if (this.#closedBy !== undefined) return;
    const reason = `the connection to ${formatEndpoint(this.#host.server)} was closed`;
    this.#end(new DialError("closed", reason, { scope: "upstream" }));
    this.#client.end();
    const timer = setTimeout(() => this.#transport.destroy(), goodbyeMs);
    this.#transport.once("close", () => clearTimeout(timer));
    if (this.#transport.destroyed) clearTimeout(timer);
  }

  #fail(sentence: string, cause?: unknown): void {
    this.#end(new DialError("closed", sentence, { scope: "upstream", cause }));
    this.#transport.destroy();
  }

  /** Flows end with an error: to ssh2 the end of the connection is the end of each channel's data, which would pass for a whole. */
  #end(reason: DialError): void {
    if (this.#closedBy !== undefined) return;
    this.#closedBy = reason;
    this.#keepalive.stop();
    for (const stream of this.#streams) stream.destroy(reason);
    for (const listener of this.#closeListeners.splice(0)) listener(reason);
  }
}
