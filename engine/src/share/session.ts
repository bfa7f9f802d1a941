import { type LinkEnd, LinkConnection } from "@sockeye/link/link-connection";
import {
  type ClientMessage,
  encodeMessage,
  LINK_VERSION,
  readRelayMessage,
  type RefusalCode,
  type RelayMessage,
} from "@sockeye/link/messages";
import type { WindowBudget } from "@sockeye/wire/mux";
import type { StreamReceiver, TunnelStream } from "@sockeye/wire/mux-stream";
import { ApartStreams } from "./apart.ts";
import { dialRelay, inWords } from "./dial-relay.ts";
import type { Share, ShareClientOptions } from "./share.ts";

/** How long the relay has to take a connection and welcome us. */
const WELCOME_MS = 10_000;
/** Before a further connection that was lost is tried again. */
const REJOIN_MS = 2000;

export interface SessionHooks {
  readonly instance: string;
  readonly budget: WindowBudget;
  shares(): Iterable<Share & { readonly given: string | undefined }>;
  opened(stream: TunnelStream, header: Buffer): StreamReceiver;
  welcomed(): void;
  message(message: RelayMessage): void;
  /** The relay is about to stop: the session goes on for what runs in it, and another one is to take its place. */
  moving(): void;
  /** Once. */
  ended(end: SessionEnd): void;
}

export interface SessionEnd {
  /** The relay's refusal, where it refused. */
  readonly code: RefusalCode | undefined;
  readonly message: string;
}

/** One stay of a client at a relay: a first connection that is welcomed, and further ones that join it. */
export class Session {
  readonly #options: ShareClientOptions;
  readonly #hooks: SessionHooks;
  readonly #first: LinkConnection;
  readonly #further = new Set<LinkConnection>();
  /** Where each stream has a connection of its own, and the relay a listener for them. */
  #apart: ApartStreams | undefined;
  readonly #startedAt = performance.now();
  readonly #deadline: NodeJS.Timeout;
  #rejoin: NodeJS.Timeout | undefined;
  #state: "greeting" | "welcome" | "ended" = "greeting";
  #refusal: SessionEnd | undefined;

  constructor(options: ShareClientOptions, hooks: SessionHooks) {
    this.#options = options;
    this.#hooks = hooks;
    this.#first = this.#open(
      (message) => this.#onMessage(message),
      (end) => this.#onEnd(end),
    );
    this.#deadline = setTimeout(() => this.#first.close("it did not answer in time"), WELCOME_MS);
    this.#greet(this.#first);
  }

  get welcome(): boolean {
    return this.#state === "welcome";
  }

  get lastedMs(): number {
    return performance.now() - this.#startedAt;
  }

  /** Asks the relay to publish one; the answer is a message. Before the welcome it does nothing: then all are asked for. */
  ask(share: Share & { readonly given: string | undefined }): void {
    if (this.#state !== "welcome") return;
    const { kind, name, port, host, guard, offlinePage } = share.spec;
    this.#send({
      type: "share",
      share: share.number,
      kind,
      guard,
      offlinePage: offlinePage?.toString("base64"),
      ...(kind === "http"
        ? { name: name ?? share.given, host }
        : { port: port ?? (share.given === undefined ? undefined : Number(share.given)) }),
    });
  }

  giveBack(number: number): void {
    if (this.#state === "welcome") this.#send({ type: "unshare", share: number });
  }

  close(): void {
    this.#first.close();
  }

  #greet(link: LinkConnection, join?: string): void {
    const { token, watch, apart } = this.#options;
    link.sendControl(
      encodeMessage({
        type: "hello",
        version: LINK_VERSION,
        instance: this.#hooks.instance,
        token,
        watch,
        join,
        apart,
      }),
    );
  }

  #send(message: ClientMessage): void {
    this.#first.sendControl(encodeMessage(message));
  }

  #open(onMessage: (message: RelayMessage) => void, onEnd: (end: LinkEnd) => void): LinkConnection {
    const { heartbeat } = this.#options;
    return new LinkConnection(dialRelay(this.#options), {
      role: "client",
      budget: this.#hooks.budget,
      handler: {
        opened: (stream, header) => this.#hooks.opened(stream, header),
        control: (bytes) => onMessage(readRelayMessage(bytes)),
        closed: onEnd,
      },
      ...(heartbeat === undefined ? {} : { heartbeat }),
    });
  }

  #onMessage(message: RelayMessage): void {
    switch (message.type) {
      case "welcome": {
        this.#onWelcome(message);
        return;
      }
      case "refused":
        this.#refusal = { code: message.code, message: message.message };
        this.#first.close();
        return;
      case "move": {
        this.#hooks.moving();
        return;
      }
      case "dial":
        this.#apart?.wanted(message.key);
        return;
      default:
        this.#hooks.message(message);
    }
  }

  #onWelcome({ join, maxLinks, dataPort }: Extract<RelayMessage, { type: "welcome" }>): void {
    if (this.#state !== "greeting") return;
    const { apart, heartbeat } = this.#options;
    if (apart === true && dataPort !== undefined)
      this.#apart = new ApartStreams({
        budget: this.#hooks.budget,
        heartbeat,
        dial: () => dialRelay(this.#options, dataPort),
        opened: (stream, header) => this.#hooks.opened(stream, header),
        say: (message) => this.#send(message),
      });
    clearTimeout(this.#deadline);
    this.#state = "welcome";
    this.#hooks.welcomed();
    for (const share of this.#hooks.shares()) this.ask(share);
    const links = Math.min(this.#options.links ?? 1, maxLinks);
    for (let link = 1; link < links; link++) this.#join(join);
  }

  /** One more connection beside the first; it is tried again for as long as the session lasts. */
  #join(secret: string): void {
    const link = this.#open(
      (message) => {
        if (message.type === "refused") link.close();
      },
      () => {
        this.#further.delete(link);
        if (this.#state === "welcome") this.#rejoin = setTimeout(() => this.#join(secret), REJOIN_MS);
      },
    );
    this.#further.add(link);
    this.#greet(link, secret);
  }

  #onEnd(end: LinkEnd): void {
    if (this.#state === "ended") return;
    const isStranger = this.#state === "greeting" && end.code === "protocol";
    this.#state = "ended";
    clearTimeout(this.#deadline);
    clearTimeout(this.#rejoin);
    for (const link of [...this.#further]) link.close();
    this.#apart?.close();
    const message = isStranger ? "what answers there is no relay" : inWords(end.message);
    this.#hooks.ended(this.#refusal ?? { code: undefined, message });
  }
}
