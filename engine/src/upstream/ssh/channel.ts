import { Duplex } from "node:stream";
import type { Client } from "ssh2";
import type { CancelSignal } from "../../cancel.ts";
import type { Endpoint } from "../../endpoint.ts";
import { releaseChunk, releaseGiven, TAKES_CHUNKS } from "../../release.ts";
import { abortReason, DialError, type DialErrorCode } from "../../errors.ts";
import { FIRST_WINDOW, type ReceiveBudget, usefulWindow } from "./budget.ts";
import { type ChannelEnd, ChannelMux } from "./mux.ts";
import type { OpenConfirmation, Protocol } from "./internals.ts";

export interface OpenOptions {
  /** Whom we open for, told to the server for its log (RFC 4254 §7.2). */
  readonly source?: Endpoint;
  /** Ends the opening; see DialOptions. */
  readonly signal: CancelSignal;
  /** Shared by the channels of one connection. */
  readonly receiveBudget: ReceiveBudget;
}

/**
 * Opens a TCP connection from the SSH server to `target` (RFC 4254 §7.2).
 * @returns a connected stream as Dialer.dial promises. It ends in a DialError of code `closed` where the connection or the
 * channel is lost, `protocol` where the server breaks the channel's rules. An error before anybody listens is not thrown:
 * it is in `stream.errored`.
 * @throws {DialError} as the server refused, or the signal's reason.
 */
export async function openDirectTcpip(
  client: Client,
  target: Endpoint,
  options: OpenOptions,
): Promise<Duplex> {
  if (options.signal.aborted) throw abortReason(options.signal);
  const mux = ChannelMux.of(client);
  if (mux.lost) throw mux.lost;
  return new DirectTcpipChannel(mux, options.receiveBudget).open(target, options);
}

/** The largest packet that we ask for and send: what OpenSSH does. */
const MAX_PACKET = 32 * 1024;
/** Chunks below this are joined when several wait: copying them costs less than a packet each. */
const SMALL_CHUNK = 8 * 1024;
const READABLE_MARK = 512 * 1024;
const WRITABLE_MARK = 256 * 1024;
/**
 * The window is opened again by this much at a time, as OpenSSH's client does. Rarer and larger grants leave sshd waiting:
 * on loopback, a grant for each quarter of the window gave a third of the throughput.
 */
const GRANT_BYTES = 96 * 1024;
const MAX_UINT32 = 2 ** 32 - 1;

interface Opening {
  readonly resolve: (channel: Duplex) => void;
  readonly reject: (error: DialError) => void;
  readonly target: Endpoint;
  readonly signal: CancelSignal;
  readonly onAbort: () => void;
  readonly startedAt: number;
}

/** Errors can come before whoever opened the channel has listened. */
function ignoreError(): void {}

class DirectTcpipChannel extends Duplex implements ChannelEnd {
  queued = false;
  readonly [TAKES_CHUNKS] = true;
  readonly #mux: ChannelMux;
  readonly #budget: ReceiveBudget;
  #opening: Opening | undefined;
  #id = -1;
  #peerId = -1;
  #eofSent = false;
  #eofReceived = false;
  #closeSent = false;
  #closeReceived = false;

  // Sending: what _write was given, how far it has been sent, and whom to tell.
  #sendWindow = 0;
  #maxPacket = 0;
  #chunk: Buffer | undefined;
  #sentOfChunk = 0;
  #moreChunks: Buffer[] | undefined;
  #small = false;
  #written: ((error?: Error | null) => void) | undefined;

  // Receiving: the window we want to keep open, what the budget counts for it, and what the peer may send now.
  #windowSize: number;
  #promised: number;
  #window: number;
  /** Since when half a window lies unread; 0: it does not. */
  #stalledAt = 0;
  #received = 0;
  // A probe runs from a grant to the first byte that the peer could send only because of it: at least a round trip.
  #probeStartedAt = 0;
  #probeEndsAfter = Infinity;
  /** The least that lay unread during the probe. */
  #leastUnread = 0;

  constructor(mux: ChannelMux, budget: ReceiveBudget) {
    super({
      allowHalfOpen: true,
      readableHighWaterMark: READABLE_MARK,
      writableHighWaterMark: WRITABLE_MARK,
    });
    this.#mux = mux;
    this.#budget = budget;
    this.#windowSize = budget.open();
    this.#promised = this.#windowSize;
    this.#window = this.#windowSize;
    this.on("error", ignoreError);
  }

  open(target: Endpoint, options: OpenOptions): Promise<Duplex> {
    return new Promise((resolve, reject) => {
      const { signal } = options;
      const onAbort = (): void => this.#fail(abortReason(signal));
      this.#opening = { resolve, reject, target, signal, onAbort, startedAt: performance.now() };
      signal.addEventListener("abort", onAbort);
      try {
        this.#id = this.#mux.add(this);
      } catch (error) {
        this.#fail(error as DialError);
        return;
      }
      const source = options.source ?? { host: "127.0.0.1", port: 0 };
      this.#protocol.directTcpip(this.#id, this.#window, MAX_PACKET, {
        srcIP: source.host,
        srcPort: source.port,
        dstIP: target.host,
        dstPort: target.port,
      });
    });
  }

  onConfirmed(confirmation: OpenConfirmation): void {
    if (this.#peerId !== -1) {
      this.onViolation("confirmed a channel a second time");
      return;
    }
    this.#peerId = confirmation.sender;
    const opening = this.#opening;
    if (!opening) {
      // Whoever asked has gone.
      this.#sendClose();
      this.#mux.forget(this.#id);
      return;
    }
    this.#sendWindow = confirmation.window;
    this.#maxPacket = Math.min(MAX_PACKET, confirmation.packetSize);
    if (this.#maxPacket === 0) {
      this.#fail(new DialError("protocol", "the SSH server takes no packet of any size"));
      return;
    }
    this.#mux.observeRoundTrip(performance.now() - opening.startedAt);
    this.#opened()?.resolve(this);
  }

  onRefused(reason: number, description: string): void {
    if (this.#peerId !== -1) {
      this.onViolation("refused a channel that it had confirmed");
      return;
    }
    this.#mux.release(this.#id);
    this.#closeReceived = true;
    if (this.#opening) this.#fail(refusal(reason, description, this.#opening.target));
  }

  onConnectionLost(error: DialError): void {
    this.#closeReceived = true;
    if (this.#opening) this.#fail(error);
    else this.destroy(error);
  }

  onViolation(what: string): void {
    this.#fail(new DialError("protocol", `the SSH server ${what}`));
  }

  onRequest(): void {
    if (this.#peerId !== -1 && !this.#closeSent) this.#protocol.channelFailure(this.#peerId);
  }

  // --- From the peer to the reader ---

  onData(data: Buffer): void {
    if (data.length > this.#window) {
      this.onViolation("sent more than the channel's window allows");
      return;
    }
    if (this.#eofReceived || this.#opening) {
      this.onViolation("sent data outside of the channel's life");
      return;
    }
    this.#window -= data.length;
    this.#received += data.length;
    const waits = this.readableFlowing !== true || this.readableLength > 0;
    this.push(data.length < SMALL_CHUNK || waits ? ownCopy(data) : data);
    if (this.#stalledAt === 0 && this.readableLength > this.#windowSize / 2)
      this.#stalledAt = performance.now();
    if (this.#received > this.#probeEndsAfter) this.#endProbe();
    this.#grant();
  }

  override _read(): void {}

  /** Every way to take what has waited comes through here; _read comes before the taking, and not each time. */
  override read(size?: number): unknown {
    const chunk: unknown = super.read(size);
    this.#grant();
    return chunk;
  }

  /** Opens the window again by what the reader has taken, once that is worth a message. */
  #grant(): void {
    if (this.#eofReceived || this.#closeSent || this.#opening || this.#mux.lost) return;
    const unread = this.readableLength;
    const held = this.#window + unread;
    if (unread < this.#leastUnread) this.#leastUnread = unread;
    if (this.#stalledAt !== 0 && unread <= this.#windowSize / 4) this.#endStall();
    if (this.#promised > this.#windowSize) this.#giveBack(held);
    const credit = this.#windowSize - held;
    if (credit < Math.min(this.#windowSize / 4, GRANT_BYTES)) return;
    if (this.#probeEndsAfter === Infinity) {
      this.#probeStartedAt = performance.now();
      this.#probeEndsAfter = this.#received + this.#window;
      this.#leastUnread = unread;
    }
    this.#window += credit;
    this.#mux.adjustWindow(this.#peerId, credit);
  }

  /**
   * The window is what limits the peer when a whole window comes within a round trip; then it doubles, as far as the
   * budget goes and while the reader keeps up. A window that comes in one burst is read after it, so that it is the least
   * that lay unread meanwhile that tells. The first round trips seem longer than they are, so that a window can turn out
   * to be larger than its link can use.
   */
  #endProbe(): void {
    const took = performance.now() - this.#probeStartedAt;
    this.#probeEndsAfter = Infinity;
    const roundTrip = this.#mux.observeRoundTrip(took);
    const useful = usefulWindow(roundTrip);
    if (this.#windowSize > useful) this.#windowSize = useful;
    else if (took <= 2 * roundTrip && this.#leastUnread <= this.#windowSize / 8) this.#grow(useful);
  }

  /** The reader took longer than two round trips over half a window: it does not need one that large. */
  #endStall(): void {
    const took = performance.now() - this.#stalledAt;
    this.#stalledAt = 0;
    if (took <= 2 * this.#mux.roundTripMs) return;
    this.#windowSize = Math.max(Math.floor(this.#windowSize / 2), Math.min(this.#windowSize, FIRST_WINDOW));
  }

  #grow(limit: number): void {
    if (this.#promised > this.#windowSize) return;
    this.#windowSize += this.#budget.grow(Math.min(this.#windowSize, limit - this.#windowSize));
    this.#promised = this.#windowSize;
  }

  /** A window that was granted can't be taken back: the budget has it again as the peer uses it up. */
  #giveBack(held: number): void {
    const promised = Math.max(this.#windowSize, held);
    this.#budget.shrink(this.#promised - promised);
    this.#promised = promised;
  }

  onEof(): void {
    if (this.#eofReceived || this.#opening) return;
    this.#eofReceived = true;
    this.push(null);
    if (this.#eofSent) this.#sendClose();
  }

  onClosed(): void {
    this.#mux.release(this.#id);
    this.#closeReceived = true;
    if (this.#opening) {
      this.#fail(new DialError("protocol", "the SSH server closed a channel that it had not opened"));
      return;
    }
    this.#sendClose();
    if (!this.#eofReceived) {
      this.#eofReceived = true;
      this.push(null);
    }
    if (this.writableFinished) return;
    // What has arrived is still read; what was to be written has nowhere to go.
    if (this.readableEnded || this.readableFlowing === null) this.#endAfterClose();
    else this.once("end", () => this.#endAfterClose());
  }

  #endAfterClose(): void {
    this.destroy(this.writableLength > 0 ? closedByServer() : undefined);
  }

  // --- From the writer to the peer ---

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    this.#written = callback;
    this.#chunk = chunk;
    this.#small = chunk.length < SMALL_CHUNK;
    this.#sendChunks();
  }

  override _writev(items: { chunk: Buffer }[], callback: (error?: Error | null) => void): void {
    const chunks = joinSmall(items);
    this.#written = callback;
    this.#chunk = chunks.shift();
    this.#small = true;
    this.#moreChunks = chunks.length > 0 ? chunks : undefined;
    this.#sendChunks();
  }

  #sendChunks(): void {
    if (this.#closeReceived) {
      // Its callback is called at the reader's end, or now when that has been.
      if (this.readableEnded) this.destroy(closedByServer());
    } else if (this.#sendWindow > 0) this.#mux.schedule(this);
  }

  sendSome(quantum: number): boolean {
    while (this.#chunk) {
      const from = this.#sentOfChunk;
      const bytes = Math.min(this.#chunk.length - from, this.#sendWindow, quantum);
      if (bytes > 0) {
        this.#mux.send(this.#peerId, this.#chunk, from, from + bytes, this.#maxPacket);
        this.#sendWindow -= bytes;
        quantum -= bytes;
        this.#sentOfChunk += bytes;
      }
      if (this.#sentOfChunk < this.#chunk.length) return this.#sendWindow > 0;
      releaseGiven(this.#chunk);
      this.#chunk = this.#moreChunks?.shift();
      this.#sentOfChunk = 0;
    }
    this.#moreChunks = undefined;
    if (!this.#written) return false;
    // Small writes wait for the end of the turn, so that those which follow are joined.
    if (this.#small) this.#mux.notifyWhenFlushed(this);
    else this.onFlushed();
    return false;
  }

  onFlushed(): void {
    if (this.#chunk) return;
    const written = this.#written;
    this.#written = undefined;
    written?.();
  }

  onWindowAdjust(bytes: number): void {
    this.#sendWindow += bytes;
    // RFC 4254 §5.2
    if (this.#sendWindow > MAX_UINT32) this.onViolation("opened the channel's window beyond its limit");
    else if (this.#chunk) this.#mux.schedule(this);
  }

  override _final(callback: (error?: Error | null) => void): void {
    if (!this.#closeSent && !this.#mux.lost) {
      this.#eofSent = true;
      this.#protocol.channelEOF(this.#peerId);
      if (this.#eofReceived) this.#sendClose();
    }
    callback();
  }

  // --- The end ---

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#budget.close(this.#promised);
    this.#promised = 0;
    this.#windowSize = 0;
    this.#chunk = undefined;
    this.#moreChunks = undefined;
    // A channel that is not confirmed yet has no number to close: onConfirmed does it.
    if (this.#peerId !== -1) {
      this.#sendClose();
      if (!this.#closeReceived) this.#mux.forget(this.#id);
    }
    const written = this.#written;
    this.#written = undefined;
    written?.(error ?? new DialError("closed", "the channel was closed"));
    callback(error);
  }

  #sendClose(): void {
    if (this.#closeSent) return;
    this.#closeSent = true;
    if (!this.#mux.lost) this.#protocol.channelClose(this.#peerId);
  }

  /** Ends the opening, or the stream that came of it. */
  #fail(error: DialError): void {
    const opening = this.#opened();
    if (!opening) {
      this.destroy(error);
      return;
    }
    this.destroy();
    opening.reject(error);
  }

  #opened(): Opening | undefined {
    const opening = this.#opening;
    this.#opening = undefined;
    opening?.signal.removeEventListener("abort", opening.onAbort);
    return opening;
  }

  get #protocol(): Protocol {
    return this.#mux.inside._protocol;
  }
}

/** What waits, or is small, must not keep alive the memory that it came in, which others share. */
function ownCopy(data: Buffer): Buffer {
  const copy = data.length < SMALL_CHUNK ? Buffer.from(data) : Buffer.allocUnsafeSlow(data.length);
  if (data.length >= SMALL_CHUNK) data.copy(copy);
  releaseChunk(data);
  return copy;
}

function closedByServer(): DialError {
  return new DialError("closed", "the SSH server closed the channel while it was written to");
}

/** Joins runs of small chunks into packets; large ones stay as they are. */
function joinSmall(items: readonly { chunk: Buffer }[]): Buffer[] {
  const joined: Buffer[] = [];
  let run: Buffer[] = [];
  let runBytes = 0;
  const endRun = (): void => {
    if (run.length > 0) joined.push(run.length === 1 ? run[0]! : Buffer.concat(run, runBytes));
    run = [];
    runBytes = 0;
  };
  for (const { chunk } of items) {
    if (chunk.length >= SMALL_CHUNK || runBytes + chunk.length > MAX_PACKET) endRun();
    run.push(chunk);
    runBytes += chunk.length;
    if (chunk.length >= SMALL_CHUNK) endRun();
  }
  endRun();
  return joined;
}

/** SSH_MSG_CHANNEL_OPEN_FAILURE (RFC 4254 §5.1) in our words; OpenSSH describes a failed connect by strerror or gai_strerror. */
function refusal(reason: number, description: string, target: Endpoint): DialError {
  const where = `${target.host}:${target.port}`;
  const said = description === "" ? "" : `: ${description}`;
  const error = (code: DialErrorCode, text: string): DialError =>
    new DialError(code, `${text}${said}`, { step: "dial" });
  switch (reason) {
    case 1:
      return error(
        "forbidden",
        `the SSH server does not allow connections to ${where} (AllowTcpForwarding, PermitOpen, or the options of the key there)`,
      );
    case 2:
      return error(connectFailure(description), `the SSH server could not connect to ${where}`);
    case 3:
      return error("unsupported", "the SSH server does not forward TCP connections");
    case 4:
      return error("limit", `the SSH server is short of resources to connect to ${where}`);
    default:
      return error("protocol", `the SSH server refused ${where} for an unknown reason (${reason})`);
  }
}

function connectFailure(description: string): DialErrorCode {
  if (/timed?[ -]?out/i.test(description)) return "timeout";
  if (/no route|unreachable|network is down|host is down/i.test(description)) return "unreachable";
  if (
    /not known|no such host|unknown host|resol|no address associated|nodename|servname/i.test(description)
  ) {
    return "dns";
  }
  return "refused";
}

export { ReceiveBudget } from "./budget.ts";
