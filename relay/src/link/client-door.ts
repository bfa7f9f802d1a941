import type { Socket } from "node:net";
import { type Heartbeat, type LinkEnd, LinkConnection } from "@sockeye/link/link-connection";
import {
  type ClientMessage,
  encodeMessage,
  type Hello,
  LINK_VERSION,
  readClientMessage,
  type RefusalCode,
  type RelayMessage,
} from "@sockeye/link/messages";
import type { WindowBudget } from "@sockeye/wire/mux";
import { AuthError, type Authoriser, type Grant } from "../auth/authoriser.ts";
import type { RelayConfig } from "../config/schema.ts";
import { HEARTBEATS_MISSED } from "../config/checks.ts";
import type { RelayLimits, Slot } from "../limits/limits.ts";
import { randomId } from "../names/id.ts";
import type { ClientRefusal, RelayObserver } from "../observer.ts";
import { ClientSession, type TicketOffice } from "./client-session.ts";

/** Connections that one client may have side by side. */
const MAX_LINKS = 8;

export interface DoorContext {
  readonly config: RelayConfig;
  readonly authoriser: Authoriser;
  readonly limits: RelayLimits;
  readonly budget: WindowBudget;
  readonly observer: RelayObserver;
}

/** The data listener, for clients that carry each stream on a connection of its own. */
export interface DataListener {
  readonly tickets: TicketOffice;
  readonly port: number;
}

/** What the door tells of those whom it let in. */
export interface DoorKeeper {
  entered(session: ClientSession): void;
  /** What a client says after it was welcomed. */
  message(session: ClientSession, message: ClientMessage): void;
  /** Where the relay has no data listener, every client's streams share its connections. */
  dataListener(): DataListener | undefined;
  /** Its last connection has ended, or its first one. */
  left(session: ClientSession, end: LinkEnd): void;
}

/** Where clients come in: one handshake for each connection, then the session that it began or joined. */
export class ClientDoor {
  readonly #context: DoorContext;
  readonly #keeper: DoorKeeper;
  readonly #sessions = new Map<string, ClientSession>();
  readonly #heartbeat: Heartbeat;
  readonly #greeting = new Set<Greeting>();
  #draining = false;

  constructor(context: DoorContext, keeper: DoorKeeper) {
    this.#context = context;
    this.#keeper = keeper;
    const intervalMs = context.config.heartbeat_interval * 1000;
    this.#heartbeat = { intervalMs, deadAfterMs: HEARTBEATS_MISSED * intervalMs };
  }

  get sessions(): Iterable<ClientSession> {
    return this.#sessions.values();
  }

  /** Takes a connection over. */
  accept(socket: Socket, peer: ClientPeer): void {
    const greeting = new Greeting(this.#context, this.#heartbeat, {
      socket,
      ...peer,
      draining: () => this.#draining,
      enter: (hello, grant, link) => this.#enter(hello, grant, { link, ...peer }),
      over: () => this.#greeting.delete(greeting),
    });
    this.#greeting.add(greeting);
  }

  /** Tells every client to go elsewhere, and lets no new one in. */
  drain(withinMs: number): void {
    this.#draining = true;
    for (const session of this.sessions) session.send({ type: "move", withinMs });
  }

  close(): void {
    for (const greeting of [...this.#greeting]) greeting.close();
    for (const session of [...this.sessions]) session.close("the relay has stopped");
  }

  #enter(hello: Hello, grant: Grant, from: ClientPeer & { link: LinkConnection }): Entered | RefusalCode {
    const { link, source, certificate } = from;
    if (hello.join !== undefined) return this.#join(hello.join, grant, link);
    const id = randomId();
    const admission = this.#context.limits.client(grant.identity, { client: id, ...grant.limits });
    if ("refusal" in admission) return "limit";
    const data = this.#keeper.dataListener();
    const session = new ClientSession(link, {
      id,
      joinSecret: randomId(),
      instance: hello.instance,
      source,
      grant,
      certificate,
      watching: hello.watch ?? false,
      tickets: hello.apart === true ? data?.tickets : undefined,
    });
    this.#sessions.set(session.id, session);
    link.sendControl(
      encodeMessage({
        type: "welcome",
        version: LINK_VERSION,
        join: session.joinSecret,
        maxLinks: MAX_LINKS,
        dataPort: data?.port,
      }),
    );
    this.#keeper.entered(session);
    return {
      message: (message) => this.#keeper.message(session, message),
      ended: (end) => {
        admission.slot.release();
        this.#sessions.delete(session.id);
        session.leave(link);
        session.close(end.message);
        this.#keeper.left(session, end);
      },
    };
  }

  #join(secret: string, grant: Grant, link: LinkConnection): Entered | RefusalCode {
    for (const session of this.sessions) {
      if (session.joinSecret !== secret || session.identity !== grant.identity) continue;
      if (session.links.length >= MAX_LINKS) return "limit";
      session.join(link);
      return { message: () => {}, ended: () => session.leave(link) };
    }
    return "auth";
  }
}

interface Entered {
  message(message: ClientMessage): void;
  ended(end: LinkEnd): void;
}

/** Who made a connection: its source, whom its certificate names, and its place among those that are not known yet. */
export interface ClientPeer {
  readonly source: string;
  readonly certificate?: string | undefined;
  readonly slot: Slot;
}

interface Newcomer extends ClientPeer {
  readonly socket: Socket;
  draining(): boolean;
  enter(hello: Hello, grant: Grant, link: LinkConnection): Entered | RefusalCode;
  over(): void;
}

/** A connection on the control listener until it is known whose it is, and after that the way to who knows it. */
class Greeting {
  readonly #context: DoorContext;
  readonly #newcomer: Newcomer;
  readonly #link: LinkConnection;
  readonly #abort = new AbortController();
  readonly #deadline: NodeJS.Timeout;
  #state: "silent" | "authenticating" | "over" = "silent";
  #entered: Entered | undefined;

  constructor(context: DoorContext, heartbeat: Heartbeat, newcomer: Newcomer) {
    this.#context = context;
    this.#newcomer = newcomer;
    this.#link = new LinkConnection(newcomer.socket, {
      role: "relay",
      budget: context.budget,
      heartbeat,
      handler: {
        opened: (stream) => stream.receiver,
        control: (bytes) => this.#onMessage(readClientMessage(bytes)),
        closed: (end) => this.#onClosed(end),
      },
    });
    this.#deadline = setTimeout(
      () => this.#refuse("protocol", "the handshake took too long"),
      context.config.limits.handshake_timeout * 1000,
    );
  }

  close(): void {
    this.#link.close();
  }

  #onMessage(message: ClientMessage): void {
    if (this.#entered !== undefined) {
      this.#entered.message(message);
      return;
    }
    if (this.#state !== "silent" || message.type !== "hello") {
      this.#refuse("protocol", "the first message, and no other, is hello");
      return;
    }
    if (message.version !== LINK_VERSION) {
      this.#refuse("version", `this relay speaks version ${LINK_VERSION}, the client ${message.version}`);
      return;
    }
    if (this.#newcomer.draining()) {
      this.#refuse("draining", "this relay is about to stop");
      return;
    }
    this.#state = "authenticating";
    void this.#authenticate(message);
  }

  async #authenticate(hello: Hello): Promise<void> {
    const { source, certificate } = this.#newcomer;
    let grant: Grant;
    try {
      grant = await this.#context.authoriser.authenticate(
        { token: hello.token, certificate, source },
        this.#abort.signal,
      );
    } catch (error) {
      if (this.#abort.signal.aborted) return;
      if (!(error instanceof AuthError))
        this.#context.observer.problem("authenticating a client", error as Error);
      this.#refuseCredential(error, hello.token);
      return;
    }
    if (this.#isOver()) return;
    const entered = this.#newcomer.enter(hello, grant, this.#link);
    if (typeof entered === "string") {
      const message = entered === "limit" ? "too many clients are connected" : "no such session";
      this.#refuse(entered, message, { credential: grant.identity });
      return;
    }
    this.#entered = entered;
    this.#finish();
  }

  #isOver(): boolean {
    return this.#state === "over";
  }

  #refuseCredential(error: unknown, token: string | undefined): void {
    const known = error instanceof AuthError ? error : undefined;
    const isAnswer = known !== undefined && known.code !== "unavailable";
    const message = known?.message ?? "the relay could not check the credential";
    this.#refuse(isAnswer ? "auth" : "unavailable", withoutToken(message, token), {
      detail: known?.detail,
      credential: known?.credential ?? this.#newcomer.certificate,
    });
  }

  #refuse(
    code: RefusalCode,
    message: string,
    about: Pick<ClientRefusal, "detail" | "credential"> = {},
  ): void {
    if (this.#isOver()) return;
    this.#context.observer.clientRefused(this.#newcomer.source, { code, reason: message, ...about });
    const refused: RelayMessage = { type: "refused", code, message };
    this.#link.sendControl(encodeMessage(refused));
    this.#finish();
    this.#link.close();
  }

  #onClosed(end: LinkEnd): void {
    this.#finish();
    this.#entered?.ended(end);
  }

  #finish(): void {
    if (this.#isOver()) return;
    this.#state = "over";
    clearTimeout(this.#deadline);
    this.#abort.abort();
    this.#newcomer.slot.release();
    this.#newcomer.over();
  }
}

/** An authoriser that is somebody else's may say back what it was asked about, and what it says is logged. */
function withoutToken(said: string, token: string | undefined): string {
  return token === undefined || token === "" ? said : said.replaceAll(token, "…");
}
