import type { ConnectionOptions } from "node:tls";
import type { Endpoint } from "@sockeye/config-kit/endpoint";
import type { Guard } from "@sockeye/link/guard";
import type { Heartbeat } from "@sockeye/link/link-connection";
import type { RefusalCode, RequestSeen } from "@sockeye/link/messages";
import type { LocalFailure } from "./local-failure.ts";
import type { StreamTap } from "./tapped-carry.ts";

/** A local service that is to be public. */
export interface ShareSpec {
  readonly kind: "http" | "tcp";
  /** The local service. */
  readonly target: Endpoint;
  /** HTTP: the public name wanted; without it the relay chooses one. */
  readonly name?: string | undefined;
  /** TCP: the public port wanted; without it the relay chooses one. */
  readonly port?: number | undefined;
  /** HTTP: what the local service sees as Host instead of the public name. */
  readonly host?: string | undefined;
  /** Whom the relay lets in; without it, everybody. */
  readonly guard?: Guard | undefined;
  /** HTTP: HTML that the relay shows while nobody is there to answer; at most `MAX_OFFLINE_PAGE_BYTES`. */
  readonly offlinePage?: Buffer | undefined;
}

export interface ShareClientOptions {
  readonly relay: Endpoint;
  readonly token?: string | undefined;
  /** TLS to the relay; undefined for none. */
  readonly tls?: ConnectionOptions | undefined;
  /** Connections side by side; one carries everything, more help where one TCP connection is the limit. Default 1. */
  readonly links?: number | undefined;
  /**
   * One connection for each stream, on the relay's data listener, where streams that share one hold each other up or something
   * between forbids long-lived ones. Where the relay has no such listener, or it can't be reached, they share the first.
   */
  readonly apart?: boolean | undefined;
  /** Ask the relay to tell of each request. */
  readonly watch?: boolean | undefined;
  readonly observer?: Partial<ShareObserver> | undefined;
  readonly heartbeat?: Heartbeat | undefined;
  /** Sees what each stream carries, as it passes. */
  readonly tap?: ((share: Share, source: string) => StreamTap | undefined) | undefined;
}

/** What the client tells of itself. Each call is cheap and may not throw. */
export interface ShareObserver {
  connected(): void;
  /** `retryMs`: until the next try. `code`: why the relay refused, where it did. */
  disconnected(reason: string, retryMs: number, code: RefusalCode | undefined): void;
  /** The relay will not have this client, and trying again would not help. */
  refused(code: RefusalCode, message: string): void;
  shared(share: Share): void;
  unshared(share: Share, code: RefusalCode, message: string): void;
  request(share: Share, request: RequestSeen): void;
  /** More requests than are told one by one. */
  moreRequests(count: number): void;
  streamOpened(share: Share, source: string): void;
  streamClosed(share: Share, bytesIn: number, bytesOut: number): void;
  localFailed(share: Share, failure: LocalFailure): void;
}

export interface Share {
  readonly number: number;
  readonly spec: ShareSpec;
  /** Where the public finds it; empty while it does not. */
  readonly addresses: readonly string[];
  /** Why the relay does not give it, where it said so. */
  readonly refusal: { readonly code: RefusalCode; readonly message: string } | undefined;
}
