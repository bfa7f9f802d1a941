import type { Socket } from "node:net";
import { type Heartbeat, LinkConnection } from "@sockeye/link/link-connection";
import { encodeMessage, readClientMessage, type RelayMessage } from "@sockeye/link/messages";
import type { StreamReceiver, TunnelStream } from "@sockeye/wire/mux-stream";
import { HEARTBEATS_MISSED } from "../config/checks.ts";
import type { Slot } from "../limits/limits.ts";
import { randomId } from "../names/id.ts";
import { ApartStream } from "./apart-stream.ts";
import type { DoorContext } from "./client-door.ts";
import type { ClientSession, TicketOffice } from "./client-session.ts";

/** How long a client has to come for a stream; after that it is carried like those of other clients. */
const TICKET_MS = 3000;

interface Ticket {
  readonly session: ClientSession;
  readonly header: Buffer;
  readonly stream: ApartStream;
  readonly until: number;
}

/**
 * Where clients that want it carry each stream on a connection of its own. The relay tells the client a key that nobody can guess,
 * the client comes here and says it, once, and the connection is that stream's. What a client doesn't come for in time, or can't,
 * is carried on its first connection: a data listener that can't be reached costs time, and no request.
 */
export class DataDoor implements TicketOffice {
  readonly #context: DoorContext;
  readonly #heartbeat: Heartbeat;
  readonly #tickets = new Map<string, Ticket>();
  readonly #callers = new Set<Caller>();

  constructor(context: DoorContext) {
    this.#context = context;
    const intervalMs = context.config.heartbeat_interval * 1000;
    this.#heartbeat = { intervalMs, deadAfterMs: HEARTBEATS_MISSED * intervalMs };
  }

  /** Streams that wait for their connection. */
  get waiting(): number {
    return this.#tickets.size;
  }

  issue(session: ClientSession, header: Buffer, receiver: StreamReceiver): TunnelStream {
    const key = randomId();
    const stream = new ApartStream(receiver, () => this.#tickets.delete(key));
    this.#tickets.set(key, { session, header, stream, until: performance.now() + TICKET_MS });
    session.send({ type: "dial", key });
    return stream;
  }

  unwanted(session: ClientSession, key: string): void {
    const ticket = this.#tickets.get(key);
    if (ticket?.session !== session) return;
    this.#tickets.delete(key);
    carryTogether(ticket);
  }

  left(session: ClientSession): void {
    for (const [key, ticket] of this.#tickets) {
      if (ticket.session !== session) continue;
      this.#tickets.delete(key);
      ticket.stream.fail("lost");
    }
  }

  /** Takes a connection over. */
  accept(socket: Socket, peer: DataPeer): void {
    const caller = new Caller(socket, {
      ...peer,
      context: this.#context,
      heartbeat: this.#heartbeat,
      claim: (key, link) => this.#claim(key, link, peer.certificate),
      over: () => this.#callers.delete(caller),
    });
    this.#callers.add(caller);
  }

  /** To be called several times a second. */
  sweep(now: number): void {
    for (const [key, ticket] of this.#tickets) {
      // In the order in which they were issued, so the first that still has time ends it.
      if (ticket.until > now) break;
      this.#tickets.delete(key);
      carryTogether(ticket);
    }
  }

  close(): void {
    for (const caller of [...this.#callers]) caller.close();
    for (const { stream } of this.#tickets.values()) stream.fail("lost");
    this.#tickets.clear();
  }

  #claim(key: string, link: LinkConnection, certificate: string | undefined): ClientSession | undefined {
    const ticket = this.#tickets.get(key);
    // A key is good for one try, whoever makes it.
    this.#tickets.delete(key);
    if (ticket === undefined) return undefined;
    const { session, stream, header } = ticket;
    const isAnother = certificate !== undefined && session.certificate !== undefined;
    if (isAnother && certificate !== session.certificate) {
      carryTogether(ticket);
      return undefined;
    }
    session.carriesApart(link);
    stream.carryBy((receiver) => link.open(header, receiver));
    return session;
  }
}

function carryTogether({ session, stream, header }: Ticket): void {
  if (session.canOpen) stream.carryBy((receiver) => session.openTogether(header, receiver)!);
  else stream.fail("overload");
}

export interface DataPeer {
  readonly source: string;
  readonly certificate?: string | undefined;
  readonly slot: Slot;
}

interface CallerHooks extends DataPeer {
  readonly context: DoorContext;
  readonly heartbeat: Heartbeat;
  /** @returns whose stream the connection carries now; undefined where nothing waits under the key. */
  claim(key: string, link: LinkConnection): ClientSession | undefined;
  over(): void;
}

/** One connection on the data listener: nobody's until it says a key, and one stream's from then on. */
class Caller {
  readonly #hooks: CallerHooks;
  readonly #link: LinkConnection;
  readonly #deadline: NodeJS.Timeout;
  #session: ClientSession | undefined;

  constructor(socket: Socket, hooks: CallerHooks) {
    this.#hooks = hooks;
    const { context, heartbeat } = hooks;
    this.#deadline = setTimeout(
      () => this.#refuse("protocol", "the handshake took too long"),
      context.config.limits.handshake_timeout * 1000,
    );
    this.#link = new LinkConnection(socket, {
      role: "relay",
      budget: context.budget,
      heartbeat,
      handler: {
        opened: (stream) => stream.receiver,
        control: (bytes) => this.#onMessage(bytes),
        // Its last bytes may take as long as one side of a tunnel may stay open without the other.
        emptied: () =>
          this.#link.close("its stream has ended", context.config.limits.half_close_timeout * 1000),
        closed: () => this.#finish(),
      },
    });
  }

  close(): void {
    this.#link.close();
  }

  #onMessage(bytes: Buffer): void {
    if (this.#session !== undefined) return;
    const message = readClientMessage(bytes);
    if (message.type !== "claim") {
      this.#refuse("protocol", "the first message, and no other, is claim");
      return;
    }
    this.#session = this.#hooks.claim(message.key, this.#link);
    if (this.#session === undefined) {
      this.#refuse("auth", "nothing waits under this key");
      return;
    }
    clearTimeout(this.#deadline);
    this.#hooks.slot.release();
  }

  #refuse(code: "protocol" | "auth", message: string): void {
    this.#hooks.context.observer.clientRefused(this.#hooks.source, { code, reason: message });
    const refused: RelayMessage = { type: "refused", code, message };
    this.#link.sendControl(encodeMessage(refused));
    this.#link.close(message);
  }

  #finish(): void {
    clearTimeout(this.#deadline);
    this.#hooks.slot.release();
    this.#session?.noLongerCarries(this.#link);
    this.#hooks.over();
  }
}
