import type { ShareRequest, RefusalCode } from "@sockeye/link/messages";
import type { Authoriser } from "../auth/authoriser.ts";
import type { RelayConfig } from "../config/schema.ts";
import type { LocalDispatch } from "../dispatch/local-dispatch.ts";
import {
  type Lease,
  type LeaseEnd,
  NameError,
  type NameErrorCode,
  type NameRegistry,
} from "../names/registry.ts";
import type { RelayObserver } from "../observer.ts";
import { gateOf } from "../public/gate.ts";
import type { ClientSession, PublishedShare } from "./client-session.ts";
import { OfflinePages } from "./offline-pages.ts";

/** Opens and closes public TCP ports. */
export interface PortOpener {
  /** @throws {Error} where the port can't be opened. */
  open(port: number): Promise<void>;
  close(port: number): void;
}

export interface DeskContext {
  readonly config: RelayConfig;
  readonly authoriser: Authoriser;
  readonly registry: NameRegistry;
  readonly dispatch: LocalDispatch;
  readonly ports: PortOpener;
  readonly observer: RelayObserver;
  /** Where the public finds an address; URLs, or host:port. */
  readonly addressesOf: (lease: Lease) => string[];
}

/** Ports that are tried for one share where the relay chooses and other programs hold some of its range. */
const MAX_PORTS_TRIED = 64;

/** Where clients ask for names and ports, keep them while they are here, and give them back. */
export class ShareDesk {
  readonly #context: DeskContext;
  /** By the id of the lease. */
  readonly #published = new Map<
    string,
    { readonly session: ClientSession; readonly share: PublishedShare }
  >();
  readonly #stopListening: () => void;
  /** Of names whose clients are away. */
  readonly offlinePages = new OfflinePages();

  constructor(context: DeskContext) {
    this.#context = context;
    this.#stopListening = context.registry.onEnd((lease, why) => this.#onLeaseEnd(lease, why));
  }

  /** @param here false once the client has gone; a lease that comes later is given back. */
  async share(session: ClientSession, request: ShareRequest, here: () => boolean): Promise<void> {
    const isTaken = session.shares.has(request.share) || session.asking.has(request.share);
    session.asking.add(request.share);
    try {
      if (isTaken) throw new NameError("invalid", "this share is published already");
      const lease = await this.#lease(session, request, here);
      if (lease !== undefined) this.#publish(session, request, lease);
    } catch (error) {
      if (!here()) return;
      const known = error instanceof NameError;
      const code = known ? codeOf(error.code) : "unavailable";
      if (known)
        this.#context.observer.shareRefused(session.id, {
          code,
          reason: error.message,
          wanted: wantedBy(request),
        });
      else this.#context.observer.problem("publishing a share", error as Error);
      session.send({
        type: "unshared",
        share: request.share,
        code,
        message: known ? error.message : `the relay can't publish this: ${(error as Error).message}`,
      });
    } finally {
      if (!isTaken) session.asking.delete(request.share);
    }
  }

  unshare(session: ClientSession, number: number): void {
    const share = session.shares.get(number);
    if (share !== undefined) this.#unpublish(session, share, { lasting: true });
  }

  /** The client has gone; its names are away for a while, and its own for the asking. */
  left(session: ClientSession): void {
    for (const share of [...session.shares.values()]) {
      if (share.offlinePage !== undefined) this.offlinePages.keep(share.address, share.offlinePage);
      this.#unpublish(session, share, { lasting: false });
    }
  }

  /** Renews what the client holds, and asks whether it still may. To be called with each heartbeat. */
  async renew(session: ClientSession): Promise<void> {
    const { authoriser, registry, observer } = this.#context;
    try {
      const verdict = await authoriser.authorise(session.grant, { kind: "session" });
      if (!verdict.allowed) {
        session.send({ type: "refused", code: "auth", message: verdict.reason });
        session.close(verdict.reason);
        return;
      }
      for (const share of [...session.shares.values()])
        if (!(await registry.renew(share.lease))) this.#onLeaseEnd(share.lease, "expired");
    } catch (error) {
      observer.problem("renewing a client's names", error as Error);
    }
  }

  /** Ends idle streams that have waited long enough. */
  sweep(now: number): void {
    for (const { share } of this.#published.values()) share.idle.sweep(now);
  }

  close(): void {
    this.#stopListening();
  }

  /**
   * A name, or a port that is open.
   * @returns undefined where the client has gone meanwhile.
   */
  async #lease(
    session: ClientSession,
    request: ShareRequest,
    here: () => boolean,
  ): Promise<Lease | undefined> {
    const { registry, ports } = this.#context;
    const inUse: number[] = [];
    for (;;) {
      const lease = await registry.claim(this.#claim(session, request, inUse));
      if (!here()) {
        await registry.release(lease);
        return undefined;
      }
      if (lease.address.kind === "http") return lease;
      const { port } = lease.address;
      try {
        await ports.open(port);
      } catch (error) {
        await registry.release(lease, { lasting: true });
        inUse.push(port);
        const mayChoose = request.port === undefined && inUse.length < MAX_PORTS_TRIED;
        if (mayChoose && isHeldByAnother(error)) continue;
        throw error;
      }
      if (here()) return lease;
      ports.close(port);
      await registry.release(lease);
      return undefined;
    }
  }

  /** @param inUse ports that other programs were found to hold. */
  #claim(session: ClientSession, request: ShareRequest, inUse: readonly number[]) {
    const { grant } = session;
    const { limits } = this.#context.config;
    const wanted =
      request.kind === "http"
        ? request.name === undefined
          ? ({ kind: "http", any: true } as const)
          : ({ kind: "http", name: request.name } as const)
        : request.port === undefined
          ? ({ kind: "tcp", any: true, except: inUse } as const)
          : ({ kind: "tcp", port: request.port } as const);
    return {
      identity: session.identity,
      instance: session.instance,
      holder: { relay: "local", session: session.id },
      wanted,
      scope: {
        names: grant.names,
        ports: grant.ports,
        maxLeases:
          request.kind === "http"
            ? (grant.limits.maxNames ?? limits.max_names_per_identity)
            : (grant.limits.maxPorts ?? limits.max_ports_per_identity),
      },
    };
  }

  #publish(session: ClientSession, request: ShareRequest, lease: Lease): void {
    const { dispatch, observer, config, addressesOf } = this.#context;
    const host = request.host ?? (config.host_rewrite === "off" ? undefined : config.host_rewrite);
    const gate = gateOf(request.guard);
    const offlinePage =
      request.offlinePage === undefined ? undefined : Buffer.from(request.offlinePage, "base64");
    const share = session.publish({ number: request.share, lease, host, gate, offlinePage });
    this.offlinePages.forget(lease.address);
    this.#published.set(lease.id, { session, share });
    dispatch.add(lease, share);
    observer.shared(session.id, lease.address);
    session.send({
      type: "shared",
      share: request.share,
      addresses: addressesOf(lease),
      given: lease.address.kind === "http" ? lease.address.name : String(lease.address.port),
      ...(gate === undefined ? {} : { guarded: true }),
    });
  }

  #unpublish(session: ClientSession, share: PublishedShare, options: { readonly lasting: boolean }): void {
    const { registry, observer } = this.#context;
    this.#forget(session, share);
    registry.release(share.lease, options).catch((error: unknown) => {
      observer.problem("giving a name back", error as Error);
    });
  }

  #onLeaseEnd(lease: Lease, why: LeaseEnd): void {
    const published = this.#published.get(lease.id);
    if (published === undefined) return;
    const { session, share } = published;
    this.#forget(session, share);
    session.send({ type: "unshared", share: share.number, code: "name-taken", message: ENDS[why] });
  }

  #forget(session: ClientSession, share: PublishedShare): void {
    const { dispatch, ports, observer } = this.#context;
    this.#published.delete(share.lease.id);
    dispatch.remove(share.lease);
    session.unpublish(share);
    if (share.address.kind === "tcp") ports.close(share.address.port);
    observer.unshared(session.id, share.address);
  }
}

const ENDS: Readonly<Record<LeaseEnd, string>> = {
  expired: "it was not renewed in time",
  "taken-back": "a newer client with the same credential has taken it",
  replaced: "another client has taken it, as this relay allows",
};

function wantedBy({ name, port }: ShareRequest): string | undefined {
  return name ?? (port === undefined ? undefined : String(port));
}

function codeOf(code: NameErrorCode): RefusalCode {
  switch (code) {
    case "invalid":
      return "name-invalid";
    case "reserved":
    case "not-allowed":
      return "not-allowed";
    case "taken":
      return "name-taken";
    case "too-many":
      return "limit";
    case "none-free":
      return "none-free";
    case "unavailable":
      return "unavailable";
  }
}

/** The port is another program's, or one that only a privileged program may have: another port may do. */
function isHeldByAnother(error: unknown): boolean {
  return (
    error instanceof Error && "code" in error && (error.code === "EADDRINUSE" || error.code === "EACCES")
  );
}
