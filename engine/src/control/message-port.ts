/**
 * The control contract over a MessagePort, for an interface whose engine is another process of the same program. Nothing here
 * may need Node: one end is in a page.
 *
 * A port tells nobody how much it holds. So each end says what it has taken, and what is not said to be taken yet counts as
 * being on its way. Messages cross as JSON text, whose length can be counted and capped, and which a port copies faster than
 * it copies objects.
 */
import * as z from "zod";
import { createControlClient, type ControlClient } from "./control-client.ts";
import { ServerSession, type ServerMessage, type Service } from "./protocol.ts";

/** The longest message that a client may send, in UTF-16 units: a configuration file and some. */
const MAX_CLIENT_MESSAGE = 1024 * 1024;
/** A page has one port, and the tray one. A page that is loaded anew may have its next before its last is gone. */
const MAX_CLIENTS = 32;

const parcel = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("text"), text: z.string() }),
  /** UTF-16 units of texts that came since this was last said. */
  z.strictObject({ kind: z.literal("taken"), length: z.int().nonnegative() }),
  z.strictObject({ kind: z.literal("bye"), reason: z.string() }),
]);
type Parcel = z.infer<typeof parcel>;

/** A page's MessagePort, Node's, and Electron's MessagePortMain, which has `on` alone. */
export interface Port {
  postMessage(message: unknown): void;
  start?(): void;
  close(): void;
  addEventListener?(type: "message" | "close", listener: (event: object) => void): void;
  on?(type: "message" | "close", listener: (event: object) => void): unknown;
}

/** Serves clients at ports, one each. A port is closed when either side has had enough, or when there are too many. */
export class PortServer {
  readonly #service: Service;
  readonly #clients = new Set<PortEnds>();

  constructor(service: Service) {
    this.#service = service;
  }

  /** @returns the way to end it. */
  serve(port: Port): () => void {
    const ends = new PortEnds(port);
    if (this.#clients.size >= MAX_CLIENTS) {
      ends.open({ onText: () => {}, onClose: () => {} });
      ends.close("the engine has as many clients as it takes");
      return () => {};
    }
    const channel = {
      send: (message: ServerMessage) => ends.send(JSON.stringify(message)),
      get bufferedBytes() {
        return ends.untaken;
      },
      close: (reason: string) => ends.close(reason),
    };
    const session = new ServerSession(channel, this.#service);
    this.#clients.add(ends);
    ends.open({
      onText: (text) => {
        if (text.length > MAX_CLIENT_MESSAGE) ends.close("the message is too long");
        else session.receive(parseJson(text));
      },
      onClose: () => {
        this.#clients.delete(ends);
        session.close();
      },
    });
    return () => ends.close("the engine let go of it");
  }

  close(): void {
    for (const ends of this.#clients) ends.close("the engine is stopping");
  }
}

/** The client at the other end of such a port. It is usable at once; whether an engine is there, its first answer tells. */
export function connectPort(port: Port): ControlClient {
  const ends = new PortEnds(port);
  const { client, receive, ended } = createControlClient({
    send: (message) => ends.send(JSON.stringify(message)),
    get bufferedBytes() {
      return ends.untaken;
    },
    close: () => ends.close("goodbye"),
    abort: () => ends.close("the answer could not be handled"),
  });
  ends.open({ onText: (text) => receive(() => JSON.parse(text) as unknown), onClose: ended });
  return client;
}

interface PortListener {
  readonly onText: (text: string) => void;
  /** Once. `reason` is the other side's, where it said one. */
  readonly onClose: (reason?: string) => void;
}

/** One end of a port: texts out, texts in, and how much of what went out is not taken yet. */
class PortEnds {
  readonly #port: Port;
  #listener: PortListener | undefined;
  #untaken = 0;

  constructor(port: Port) {
    this.#port = port;
  }

  get untaken(): number {
    return this.#untaken;
  }

  open(listener: PortListener): void {
    this.#listener = listener;
    const port = this.#port;
    const listen = (port.addEventListener ?? port.on)?.bind(port);
    listen?.("message", (event) => this.#receive("data" in event ? event.data : undefined));
    // Where the other process has died there is no goodbye.
    listen?.("close", () => this.#ended());
    port.start?.();
  }

  send(text: string): void {
    if (this.#listener === undefined) return;
    this.#untaken += text.length;
    this.#post({ kind: "text", text });
  }

  close(reason: string): void {
    if (this.#listener === undefined) return;
    this.#post({ kind: "bye", reason });
    this.#ended();
  }

  #receive(data: unknown): void {
    if (this.#listener === undefined) return;
    const parsed = parcel.safeParse(data);
    if (!parsed.success) {
      this.close("not a message of this protocol");
      return;
    }
    switch (parsed.data.kind) {
      case "text":
        this.#post({ kind: "taken", length: parsed.data.text.length });
        this.#listener.onText(parsed.data.text);
        return;
      case "taken":
        this.#untaken = Math.max(0, this.#untaken - parsed.data.length);
        return;
      case "bye":
        this.#ended(parsed.data.reason);
        return;
    }
  }

  #ended(reason?: string): void {
    const listener = this.#listener;
    if (listener === undefined) return;
    this.#listener = undefined;
    this.#port.close();
    listener.onClose(reason);
  }

  #post(message: Parcel): void {
    this.#port.postMessage(message);
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
