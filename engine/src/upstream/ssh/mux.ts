import { Numbered } from "@sockeye/wire/numbered";
import { Socket } from "node:net";
import type { Client } from "ssh2";
import { DialError } from "../../errors.ts";
import { senderOf } from "./crypto.ts";
import type { GcmSender } from "./gcm.ts";
import {
  type ConnectedClient,
  internalsOf,
  type MessageHandlers,
  type OpenConfirmation,
} from "./internals.ts";

/** One end of a channel, as the connection sees it. Every call comes from the connection's own socket. */
export interface ChannelEnd {
  onConfirmed(confirmation: OpenConfirmation): void;
  onRefused(reason: number, description: string): void;
  onData(data: Buffer): void;
  onWindowAdjust(bytes: number): void;
  onEof(): void;
  onClosed(): void;
  /** The connection is gone: nothing can be sent any more. */
  onConnectionLost(error: DialError): void;
  /** The peer broke the channel's rules. */
  onViolation(what: string): void;
  /** The peer asks something that wants an answer; the only known question is whether we are there. */
  onRequest(): void;
  /** True while it waits for its turn to send; the mux keeps it. */
  queued: boolean;
  /** Sends, through the mux, at most `quantum` bytes. @returns true when it has more to send and may. */
  sendSome(quantum: number): boolean;
  /** What was sent has left for the socket. */
  onFlushed(): void;
}

/** When more than this waits for the socket, nobody sends: beyond the kernel's buffer, a queue only adds delay. */
const SOCKET_QUEUE_BYTES = 256 * 1024;
/** What is sealed is written when it is this much, or when everything has been read that was there to read. */
const BATCH_BYTES = 128 * 1024;
/** What one channel sends before the next has its turn. */
const TURN_BYTES = 64 * 1024;
/** Stands for our channels in ssh2's own list, in which a closed one is left alone. */
const OURS = Object.freeze({ incoming: Object.freeze({ state: "closed" }) });

const muxes = new WeakMap<Client, ChannelMux>();

/**
 * Our channels on one SSH connection, beside ssh2's own: takes their messages before ssh2 does, and sends their data in
 * turns, no faster than the socket takes it.
 */
export class ChannelMux {
  readonly inside: ConnectedClient;
  readonly #channels = new Numbered<ChannelEnd>();
  /** Channels with something to send, in the order of their turns. */
  #turns: ChannelEnd[] = [];
  /** Channels whose data was sealed in this turn of the event loop. */
  #sent: ChannelEnd[] = [];
  #flushScheduled = false;
  #writeScheduled = false;
  #waitingForDrain = false;
  /** SSH_MSG_CHANNEL_WINDOW_ADJUST (RFC 4254 §5.2). */
  readonly #adjustment = Buffer.from([93, 0, 0, 0, 0, 0, 0, 0, 0]);
  #corked = false;
  /** When a socket's write is done the kernel has the bytes; another stream may still hold our buffer. */
  readonly #kernelCopies: boolean;
  #lost: DialError | undefined;
  #lastError: unknown;
  /** The shortest round trip seen, in milliseconds. */
  #roundTripMs = Infinity;

  static of(client: Client): ChannelMux {
    let mux = muxes.get(client);
    if (!mux) muxes.set(client, (mux = new ChannelMux(client)));
    return mux;
  }

  private constructor(client: Client) {
    this.inside = internalsOf(client);
    this.#kernelCopies = this.inside._sock.constructor === Socket;
    this.#takeMessages(this.inside._protocol._handlers);
    this.inside._sock.on("drain", this.#onDrain);
    client.on("handshake", this.#onDrain);
    client.on("error", (error) => (this.#lastError = error));
    client.once("end", this.#onLost);
    client.once("close", this.#onLost);
  }

  /** Why the connection can't be used; undefined while it can. */
  get lost(): DialError | undefined {
    if (this.#lost) return this.#lost;
    if (this.inside._protocol._destruct && this.inside._sock.writable) return undefined;
    return new DialError("closed", "the SSH connection is closed", {
      cause: this.#lastError,
      scope: "upstream",
    });
  }

  /** The shortest seen; Infinity before the first. */
  get roundTripMs(): number {
    return this.#roundTripMs;
  }

  /** Something took this long that takes at least a round trip. @returns the shortest seen. */
  observeRoundTrip(ms: number): number {
    if (ms < this.#roundTripMs) this.#roundTripMs = ms;
    return this.#roundTripMs;
  }

  /** @returns our number for a new channel. @throws {DialError} */
  add(channel: ChannelEnd): number {
    const id = this.inside._chanMgr.add(OURS);
    if (id === -1) throw new DialError("limit", "the SSH connection has no channel number left");
    this.#channels.add(id, channel);
    return id;
  }

  /** The channel wants no more messages. Its number stays taken until the peer has closed it too. */
  forget(id: number): void {
    this.#channels.delete(id);
  }

  release(id: number): void {
    this.#channels.delete(id);
    if (!this.#lost) this.inside._chanMgr.remove(id);
  }

  /** The channel has data and window: it sends now, or when its turn comes. */
  schedule(channel: ChannelEnd): void {
    if (channel.queued) return;
    if (this.#turns.length > 0 || !this.#maySend()) {
      this.#queue(channel);
      return;
    }
    if (channel.sendSome(SOCKET_QUEUE_BYTES)) this.#queue(channel);
    const pending = senderOf(this.inside._protocol._cipher)?.pending ?? this.inside._sock.writableLength;
    if (pending >= BATCH_BYTES) this.#write();
    if (pending < BATCH_BYTES || this.#turns.length > 0) this.#scheduleWrite();
  }

  #queue(channel: ChannelEnd): void {
    channel.queued = true;
    this.#turns.push(channel);
  }

  /** Sends data[from, to) of a channel in packets of at most maxData bytes; it leaves at the end of this turn. */
  // eslint-disable-next-line @typescript-eslint/max-params -- a call per chunk: no object is made for it
  send(peerId: number, data: Buffer, from: number, to: number, maxData: number): void {
    const { _protocol: protocol } = this.inside;
    const sender = this.#sender();
    if (sender) {
      sender.sealData(peerId, data, from, to, maxData);
      return;
    }
    if (!this.#corked) {
      this.#corked = true;
      this.inside._sock.cork();
    }
    for (let at = from; at < to; at += maxData) {
      protocol.channelData(peerId, data.subarray(at, Math.min(to, at + maxData)));
    }
  }

  /** Grants the peer more of a channel's window; it leaves at the end of this turn, together with what else is sealed. */
  adjustWindow(peerId: number, bytes: number): void {
    const { _protocol: protocol } = this.inside;
    const sender = this.#sender();
    if (!sender || protocol._kexinit !== undefined) {
      protocol.channelWindowAdjust(peerId, bytes);
      return;
    }
    this.#adjustment.writeUInt32BE(peerId, 1);
    this.#adjustment.writeUInt32BE(bytes, 5);
    sender.sealPayload(this.#adjustment);
    this.#scheduleFlush();
  }

  /** What seals for us; undefined where ssh2 does, or compresses before. */
  #sender(): GcmSender | undefined {
    const { _protocol: protocol } = this.inside;
    return protocol._packetRW.write.allocStart > 0 ? senderOf(protocol._cipher) : undefined;
  }

  /** `channel` is told by onFlushed when what it sent in this turn has left. */
  notifyWhenFlushed(channel: ChannelEnd): void {
    this.#sent.push(channel);
    this.#scheduleFlush();
  }

  #maySend(): boolean {
    return !this.#waitingForDrain && this.inside._protocol._kexinit === undefined;
  }

  #scheduleFlush(): void {
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    process.nextTick(this.#flush);
  }

  #scheduleWrite(): void {
    if (this.#writeScheduled) return;
    this.#writeScheduled = true;
    setImmediate(this.#writeNow);
  }

  readonly #writeNow = (): void => {
    this.#writeScheduled = false;
    this.#write();
    this.#takeTurns();
  };

  readonly #flush = (): void => {
    this.#flushScheduled = false;
    this.#write();
    const sent = this.#sent;
    this.#sent = [];
    for (const channel of sent) channel.onFlushed();
  };

  #write(): void {
    if (this.lost) return;
    const { _sock: sock, _protocol: protocol } = this.inside;
    const sender = senderOf(protocol._cipher);
    sender?.flush();
    if (this.#corked) {
      this.#corked = false;
      sock.uncork();
    }
    // Only beyond its mark does a stream tell when it has drained.
    const queued = sock.writableLength;
    if (queued === 0 && this.#kernelCopies) sender?.reuse();
    this.#waitingForDrain = queued >= Math.max(SOCKET_QUEUE_BYTES, sock.writableHighWaterMark);
  }

  /** The socket took what it had, or new keys are in use: the channels that wait have their turns. */
  readonly #onDrain = (): void => {
    this.#waitingForDrain = false;
    this.#takeTurns();
  };

  #takeTurns(): void {
    if (this.#turns.length === 0 || this.lost) return;
    while (this.#turns.length > 0 && this.#maySend()) {
      const round = this.#turns;
      this.#turns = [];
      for (let i = 0; i < round.length; i++) {
        const channel = round[i]!;
        channel.queued = false;
        if (channel.sendSome(TURN_BYTES)) this.#queue(channel);
        this.#write();
        if (!this.#maySend()) {
          this.#turns = round.slice(i + 1).concat(this.#turns);
          break;
        }
      }
    }
  }

  readonly #onLost = (): void => {
    if (this.#lost) return;
    const cause = this.#lastError;
    this.#lost = new DialError("closed", "the SSH connection was lost", { cause, scope: "upstream" });
    const channels = this.#channels.all();
    this.#channels.clear();
    this.#turns = [];
    for (const channel of channels) channel.onConnectionLost(this.#lost);
  };

  #isOurs(id: number): boolean {
    return this.inside._chanMgr.get(id) === OURS;
  }

  /** Puts our channels before ssh2's in each message that names a channel. */
  #takeMessages(handlers: MessageHandlers): void {
    const theirs = { ...handlers };
    const channels = this.#channels;
    handlers.CHANNEL_DATA = (protocol, id, data) => {
      const channel = channels.get(id);
      if (channel) channel.onData(data);
      else if (!this.#isOurs(id)) theirs.CHANNEL_DATA(protocol, id, data);
    };
    handlers.CHANNEL_WINDOW_ADJUST = (protocol, id, bytes) => {
      const channel = channels.get(id);
      if (channel) channel.onWindowAdjust(bytes);
      else if (!this.#isOurs(id)) theirs.CHANNEL_WINDOW_ADJUST(protocol, id, bytes);
    };
    handlers.CHANNEL_EOF = (protocol, id) => {
      const channel = channels.get(id);
      if (channel) channel.onEof();
      else if (!this.#isOurs(id)) theirs.CHANNEL_EOF(protocol, id);
    };
    handlers.CHANNEL_CLOSE = (protocol, id) => {
      const channel = channels.get(id);
      if (channel) channel.onClosed();
      else if (this.#isOurs(id)) this.release(id);
      else theirs.CHANNEL_CLOSE(protocol, id);
    };
    handlers.CHANNEL_OPEN_CONFIRMATION = (protocol, info) => {
      const channel = channels.get(info.recipient);
      if (channel) channel.onConfirmed(info);
      else if (!this.#isOurs(info.recipient)) theirs.CHANNEL_OPEN_CONFIRMATION(protocol, info);
    };
    handlers.CHANNEL_OPEN_FAILURE = (protocol, id, reason, description) => {
      const channel = channels.get(id);
      if (channel) channel.onRefused(reason, description);
      else if (!this.#isOurs(id)) theirs.CHANNEL_OPEN_FAILURE(protocol, id, reason, description);
    };
    handlers.CHANNEL_EXTENDED_DATA = (protocol, id, data, type) => {
      const channel = channels.get(id);
      if (channel)
        channel.onViolation("sent data of a kind that a TCP channel does not have (RFC 4254 §7.2)");
      else if (!this.#isOurs(id)) theirs.CHANNEL_EXTENDED_DATA(protocol, id, data, type);
    };
    // eslint-disable-next-line @typescript-eslint/max-params -- ssh2's signature
    handlers.CHANNEL_REQUEST = (protocol, id, type, wantReply, data) => {
      const channel = channels.get(id);
      if (channel) {
        if (wantReply) channel.onRequest();
      } else if (!this.#isOurs(id)) theirs.CHANNEL_REQUEST(protocol, id, type, wantReply, data);
    };
  }
}
