/**
 * The framing of calls and streams, apart from what carries it: a WebSocket today, a MessagePort in the desktop app. A
 * browser imports this file too: nothing here may need Node.
 *
 * A client numbers what it asks; an answer carries the number back. A call has one answer. A stream has events, paced by
 * the server, until it ends by itself or is cancelled.
 */
import * as z from "zod";
import {
  controlFailure,
  type CallName,
  type CallParams,
  type CallResult,
  type StreamEvent,
  type StreamName,
  type StreamParams,
} from "./contract.ts";
import { ControlError } from "./control-error.ts";

const id = z.int().positive();
const clientMessage = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("call"), id, name: z.string().max(64), params: z.unknown().optional() }),
  z.strictObject({ type: z.literal("listen"), id, name: z.string().max(64), params: z.unknown().optional() }),
  z.strictObject({ type: z.literal("cancel"), id }),
]);
export type ClientMessage = z.infer<typeof clientMessage>;

export const serverMessage = z.discriminatedUnion("type", [
  z.object({ type: z.literal("result"), id, result: z.unknown() }),
  z.object({ type: z.literal("event"), id, event: z.unknown() }),
  /** The stream ended by itself. */
  z.object({ type: z.literal("end"), id }),
  /** `id` 0 where the message that it answers had none that could be read. */
  z.object({ type: z.literal("error"), id: z.int().nonnegative(), error: controlFailure }),
]);
export type ServerMessage = z.infer<typeof serverMessage>;

/** The WebSocket subprotocol that a client offers and hears back. */
export const SUBPROTOCOL = "sockeye.v1";
/** Where a client can set no header: offered beside SUBPROTOCOL with the token after it, and never said back. */
export const TOKEN_SUBPROTOCOL = "sockeye.token.";

/** Calls of one client without an answer yet. */
export const MAX_CALLS = 32;
/** Streams that one client listens to. */
export const MAX_STREAMS = 32;
/** Sent and not yet taken by the client: from here on streams wait, so that their next event holds what is newest then. */
export const MAX_BUFFERED_BYTES = 1024 * 1024;
/** A client that asks on without reading its answers is cut off here. */
export const MAX_UNREAD_BYTES = 32 * 1024 * 1024;

/** One client's connection, whatever it is made of. */
export interface Channel<Outgoing> {
  send(message: Outgoing): void;
  /** Sent and not yet on its way, in bytes. */
  readonly bufferedBytes: number;
  /** Ends the connection. The sentence says why. */
  close(reason: string): void;
}

/** A stream's state for one client. It is asked for events when that client can take them, so it holds what is not sent. */
export interface Source {
  /** Milliseconds between two looks. */
  readonly intervalMs: number;
  /** What has happened since the last call; nothing where nothing has. */
  pull(): { readonly event?: unknown; readonly ended?: boolean };
  close(): void;
}

/** What a server's session hands the messages to. Parameters come unchecked; each throws a ControlError. */
export interface Service {
  call(name: string, params: unknown): Promise<unknown>;
  listen(name: string, params: unknown): Source;
}

/** The server's side of one client. */
export class ServerSession {
  readonly #channel: Channel<ServerMessage>;
  readonly #service: Service;
  readonly #calls = new Set<number>();
  readonly #streams = new Map<number, { source: Source; timer: ReturnType<typeof setTimeout> | undefined }>();
  #closed = false;

  constructor(channel: Channel<ServerMessage>, service: Service) {
    this.#channel = channel;
    this.#service = service;
  }

  /** A message as it came. Never throws: what is wrong with it is told to the client. */
  receive(message: unknown): void {
    if (this.#closed) return;
    const parsed = clientMessage.safeParse(message);
    if (!parsed.success) {
      this.#fail(readableId(message), new ControlError("bad-request", "not a message of this protocol"));
      return;
    }
    const request = parsed.data;
    switch (request.type) {
      case "call":
        this.#call(request.id, request.name, request.params);
        return;
      case "listen":
        this.#listen(request.id, request.name, request.params);
        return;
      case "cancel":
        // A call that is under way goes on, and its answer comes; the client has stopped waiting for it.
        this.#endStream(request.id);
        return;
    }
  }

  /** The client went away, or is sent away. */
  close(): void {
    this.#closed = true;
    for (const id of [...this.#streams.keys()]) this.#endStream(id);
  }

  #call(id: number, name: string, params: unknown): void {
    if (!this.#mayUse(id) || !this.#hasRoom(id, this.#calls.size < MAX_CALLS, `${MAX_CALLS} calls`)) return;
    this.#calls.add(id);
    this.#service.call(name, params).then(
      (result) => {
        this.#calls.delete(id);
        this.#send({ type: "result", id, result });
      },
      (error: unknown) => {
        this.#calls.delete(id);
        this.#fail(id, error);
      },
    );
  }

  #listen(id: number, name: string, params: unknown): void {
    if (!this.#mayUse(id) || !this.#hasRoom(id, this.#streams.size < MAX_STREAMS, `${MAX_STREAMS} streams`)) {
      return;
    }
    try {
      this.#streams.set(id, { source: this.#service.listen(name, params), timer: undefined });
    } catch (error) {
      this.#fail(id, error);
      return;
    }
    this.#pull(id);
  }

  #pull(id: number): void {
    const stream = this.#streams.get(id);
    if (stream === undefined) return;
    if (this.#channel.bufferedBytes <= MAX_BUFFERED_BYTES) {
      try {
        const { event, ended } = stream.source.pull();
        if (event !== undefined) this.#send({ type: "event", id, event });
        if (ended === true) {
          this.#endStream(id);
          this.#send({ type: "end", id });
          return;
        }
      } catch (error) {
        this.#endStream(id);
        this.#fail(id, error);
        return;
      }
    }
    // Sending may have ended the session, and with it this stream.
    if (this.#streams.has(id)) stream.timer = setTimeout(() => this.#pull(id), stream.source.intervalMs);
  }

  #endStream(id: number): void {
    const stream = this.#streams.get(id);
    if (stream === undefined) return;
    this.#streams.delete(id);
    clearTimeout(stream.timer);
    stream.source.close();
  }

  #mayUse(id: number): boolean {
    if (!this.#calls.has(id) && !this.#streams.has(id)) return true;
    this.#channel.close(`number ${id} is in use`);
    return false;
  }

  #hasRoom(id: number, room: boolean, what: string): boolean {
    if (!room) this.#fail(id, new ControlError("limit", `no more than ${what} at one time`));
    return room;
  }

  #fail(id: number, error: unknown): void {
    this.#send({ type: "error", id, error: describeFailure(error) });
  }

  #send(message: ServerMessage): void {
    if (this.#closed) return;
    this.#channel.send(message);
    if (this.#channel.bufferedBytes > MAX_UNREAD_BYTES) {
      this.#channel.close("the answers are not being read");
    }
  }
}

function readableId(message: unknown): number {
  const read = z.object({ id }).safeParse(message);
  return read.success ? read.data.id : 0;
}

function describeFailure(error: unknown): z.infer<typeof controlFailure> {
  if (error instanceof ControlError) {
    const { code, message, problems } = error;
    return problems === undefined ? { code, message } : { code, message, problems: [...problems] };
  }
  return { code: "internal", message: error instanceof Error ? error.message : "something went wrong" };
}

export interface CallOptions {
  /** From the call to its answer. Default 10,000. */
  readonly timeoutMs?: number;
}

/** How events reach a listener; exactly one of `onEnd` and `onError` comes last. */
export interface Listener<Event> {
  onEvent(event: Event): void;
  onEnd?(): void;
  onError?(error: ControlError): void;
}

interface PendingCall {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: ControlError) => void;
  readonly timer: ReturnType<typeof setTimeout>;
}

/** The client's side. Answers are trusted as the contract's: the server is ours, and proved it by taking the token. */
export class ClientSession {
  readonly #channel: Channel<ClientMessage>;
  readonly #calls = new Map<number, PendingCall>();
  readonly #listeners = new Map<number, Listener<unknown>>();
  #nextId = 1;
  #closed: ControlError | undefined;

  constructor(channel: Channel<ClientMessage>) {
    this.#channel = channel;
  }

  /** @throws {ControlError} what the server says; `timeout`; `closed`. */
  call<Name extends CallName>(
    name: Name,
    params: CallParams<Name>,
    options: CallOptions = {},
  ): Promise<CallResult<Name>> {
    return new Promise((resolve, reject) => {
      if (this.#closed !== undefined) {
        reject(this.#closed);
        return;
      }
      const id = this.#nextId++;
      const timeoutMs = options.timeoutMs ?? 10_000;
      const timer = setTimeout(() => {
        this.#calls.delete(id);
        reject(new ControlError("timeout", `no answer to "${name}" within ${timeoutMs / 1000} s`));
      }, timeoutMs);
      this.#calls.set(id, { resolve: (result) => resolve(result as CallResult<Name>), reject, timer });
      this.#channel.send({ type: "call", id, name, params });
    });
  }

  /** @returns the way to stop; after it nothing more is heard. */
  listen<Name extends StreamName>(
    name: Name,
    params: StreamParams<Name>,
    listener: Listener<StreamEvent<Name>>,
  ): () => void {
    if (this.#closed !== undefined) {
      listener.onError?.(this.#closed);
      return () => {};
    }
    const id = this.#nextId++;
    this.#listeners.set(id, listener);
    this.#channel.send({ type: "listen", id, name, params });
    return () => {
      if (this.#listeners.delete(id)) this.#channel.send({ type: "cancel", id });
    };
  }

  /** A message as it came. What no longer has anybody waiting is passed over. */
  receive(message: unknown): void {
    const parsed = serverMessage.safeParse(message);
    if (!parsed.success) {
      this.#channel.close("not a message of this protocol");
      return;
    }
    const answer = parsed.data;
    switch (answer.type) {
      case "event":
        this.#listeners.get(answer.id)?.onEvent(answer.event);
        return;
      case "end":
        this.#takeListener(answer.id)?.onEnd?.();
        return;
      case "result":
        this.#takeCall(answer.id)?.resolve(answer.result);
        return;
      case "error": {
        const { code, message: sentence, problems } = answer.error;
        const error = new ControlError(code, sentence, problems === undefined ? {} : { problems });
        this.#takeCall(answer.id)?.reject(error);
        this.#takeListener(answer.id)?.onError?.(error);
        return;
      }
    }
  }

  /** The connection ended: everything that waits hears so. */
  close(error: ControlError): void {
    if (this.#closed !== undefined) return;
    this.#closed = error;
    for (const id of [...this.#calls.keys()]) this.#takeCall(id)?.reject(error);
    for (const id of [...this.#listeners.keys()]) this.#takeListener(id)?.onError?.(error);
  }

  #takeCall(id: number): PendingCall | undefined {
    const call = this.#calls.get(id);
    if (call === undefined) return undefined;
    this.#calls.delete(id);
    clearTimeout(call.timer);
    return call;
  }

  #takeListener(id: number): Listener<unknown> | undefined {
    const listener = this.#listeners.get(id);
    this.#listeners.delete(id);
    return listener;
  }
}
