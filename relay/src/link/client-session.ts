import type { LinkConnection } from "@sockeye/link/link-connection";
import {
  encodeMessage,
  encodeStreamHeader,
  type RelayMessage,
  type RequestSeen,
} from "@sockeye/link/messages";
import type { StreamReceiver, TunnelStream } from "@sockeye/wire/mux-stream";
import type { Grant } from "../auth/authoriser.ts";
import type { Route } from "../dispatch/dispatch.ts";
import type { Lease, PublicAddress } from "../names/registry.ts";
import type { Gate } from "../public/gate.ts";
import { IdleStreams } from "../public/idle-streams.ts";

/** Requests that are told to a client's person one by one between two messages; more are only counted. */
const MAX_TOLD = 50;
const TELL_EVERY_MS = 100;

/** A client that is welcome: its connections, and what it shares. */
export class ClientSession {
  readonly id: string;
  readonly identity: string;
  readonly instance: string;
  /** Further connections show it to join. */
  readonly joinSecret: string;
  readonly source: string;
  /** Whom the certificate names that its first connection showed. */
  readonly certificate: string | undefined;
  grant: Grant;
  /** Numbers of shares that were asked for and have no answer yet. */
  readonly asking = new Set<number>();
  readonly #watching: boolean;
  readonly #links: LinkConnection[];
  /** Where its streams get connections of their own, for a client that wants that. */
  readonly #tickets: TicketOffice | undefined;
  /** Connections that carry one stream each. */
  readonly #apart = new Set<LinkConnection>();
  readonly #shares = new Map<number, PublishedShare>();
  #seen: RequestSeen[] = [];
  #more = 0;
  #telling: NodeJS.Timeout | undefined;

  constructor(first: LinkConnection, about: ClientAbout) {
    this.#links = [first];
    this.id = about.id;
    this.identity = about.grant.identity;
    this.instance = about.instance;
    this.joinSecret = about.joinSecret;
    this.source = about.source;
    this.certificate = about.certificate;
    this.grant = about.grant;
    this.#tickets = about.tickets;
    this.#watching = about.watching;
  }

  get shares(): ReadonlyMap<number, PublishedShare> {
    return this.#shares;
  }

  get links(): readonly LinkConnection[] {
    return this.#links;
  }

  get streams(): number {
    return this.#links.reduce((sum, link) => sum + link.streams, 0) + this.#apart.size;
  }

  join(link: LinkConnection): void {
    this.#links.push(link);
  }

  leave(link: LinkConnection): void {
    const at = this.#links.indexOf(link);
    if (at !== -1) this.#links.splice(at, 1);
  }

  send(message: RelayMessage): void {
    this.#links[0]?.sendControl(encodeMessage(message));
  }

  publish(about: ShareAbout): PublishedShare {
    const share = new PublishedShare(this, about);
    this.#shares.set(about.number, share);
    return share;
  }

  /** Forgets the share; requests that are under way in it go on. */
  unpublish(share: PublishedShare): void {
    if (this.#shares.get(share.number) === share) this.#shares.delete(share.number);
    share.idle.close();
  }

  /** One of its connections can carry one stream more. */
  get canOpen(): boolean {
    return this.#links.some((link) => link.canOpen);
  }

  /** @returns undefined where none of its connections can carry one more. */
  open(header: Buffer, receiver: StreamReceiver): TunnelStream | undefined {
    if (this.#tickets === undefined) return this.openTogether(header, receiver);
    return this.#links.length === 0 ? undefined : this.#tickets.issue(this, header, receiver);
  }

  /** A stream beside others on a connection, whatever the client wants. @returns as `open`. */
  openTogether(header: Buffer, receiver: StreamReceiver): TunnelStream | undefined {
    let best: LinkConnection | undefined;
    for (const link of this.#links)
      if (link.canOpen && (best === undefined || link.streams < best.streams)) best = link;
    return best?.open(header, receiver);
  }

  /** A connection that carries one stream of it, and ends with it. */
  carriesApart(link: LinkConnection): void {
    this.#apart.add(link);
  }

  noLongerCarries(link: LinkConnection): void {
    this.#apart.delete(link);
  }

  tell(request: RequestSeen): void {
    if (!this.#watching) return;
    if (this.#seen.length < MAX_TOLD) this.#seen.push(request);
    else this.#more++;
    this.#telling ??= setTimeout(() => {
      this.#telling = undefined;
      this.send({ type: "requests", seen: this.#seen, more: this.#more });
      this.#seen = [];
      this.#more = 0;
    }, TELL_EVERY_MS);
  }

  close(reason: string): void {
    clearTimeout(this.#telling);
    for (const link of [...this.#links, ...this.#apart]) link.close(reason);
    this.#tickets?.left(this);
  }
}

export interface ClientAbout {
  readonly id: string;
  readonly joinSecret: string;
  readonly instance: string;
  readonly source: string;
  readonly grant: Grant;
  readonly watching: boolean;
  readonly certificate: string | undefined;
  readonly tickets: TicketOffice | undefined;
}

/** Where streams wait for a connection of their own. */
export interface TicketOffice {
  /** Asks the client to come for a stream. */
  issue(session: ClientSession, header: Buffer, receiver: StreamReceiver): TunnelStream;
  /** The client does not come for this one. */
  unwanted(session: ClientSession, key: string): void;
  /** The client has gone. */
  left(session: ClientSession): void;
}

export interface ShareAbout {
  readonly number: number;
  readonly lease: Lease;
  readonly host: string | undefined;
  readonly gate: Gate | undefined;
  readonly offlinePage: Buffer | undefined;
}

/** One share of a client, under a lease of the registry. */
export class PublishedShare implements Route {
  readonly number: number;
  readonly lease: Lease;
  readonly host: string | undefined;
  readonly gate: Gate | undefined;
  readonly offlinePage: Buffer | undefined;
  readonly idle = new IdleStreams();
  readonly #session: ClientSession;

  constructor(session: ClientSession, share: ShareAbout) {
    this.#session = session;
    this.number = share.number;
    this.lease = share.lease;
    this.host = share.host;
    this.gate = share.gate;
    this.offlinePage = share.offlinePage;
    this.#plainHeader = encodeStreamHeader({ share: share.number, source: "" });
  }
  readonly #plainHeader: Buffer;

  get address(): PublicAddress {
    return this.lease.address;
  }

  get client(): string {
    return this.#session.id;
  }

  get grant(): Grant {
    return this.#session.grant;
  }

  open(source: string, receiver: StreamReceiver): TunnelStream | undefined {
    const header = source === "" ? this.#plainHeader : encodeStreamHeader({ share: this.number, source });
    return this.#session.open(header, receiver);
  }

  seen({ method, target, status, ms }: Parameters<Route["seen"]>[0]): void {
    this.#session.tell({ share: this.number, method, target, status, ms });
  }
}
