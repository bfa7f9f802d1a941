import { open } from "node:fs/promises";
import { parseEndpoint } from "@sockeye/config-kit/endpoint";
import { type Guard, hashBasicAuth, MAX_OFFLINE_PAGE_BYTES } from "@sockeye/link/guard";
import type { RefusalCode } from "@sockeye/link/messages";
import type { Secret, ShareConfig } from "../config/config.ts";
import type { ShareSpec } from "./share.ts";
import { HttpTap } from "./inspect/http-tap.ts";
import type { KeptRequest } from "./inspect/kept-request.ts";
import { MAX_REPLAYS, replay, whyNoReplay } from "./inspect/replay.ts";
import { RequestRing } from "./inspect/request-ring.ts";
import type { LocalFailure } from "./local-failure.ts";
import type { StreamTap } from "./tapped-carry.ts";
import { TargetHealth, type TargetState } from "./target-health.ts";

export interface ShareRefusal {
  /** `local`: something on this machine is missing. */
  readonly code: RefusalCode | "local";
  readonly message: string;
}

export interface ShareTraffic {
  /** Requests that were read as they passed; only inspected shares count them. */
  requests: number;
  /** Streams so far, and those that are open. */
  connections: number;
  active: number;
  /** Towards the local service, and from it. */
  bytesIn: number;
  bytesOut: number;
  /** By the clock on the wall; undefined while nobody came. */
  lastAt: number | undefined;
}

/** What a share is besides its place at the relay: its local service, what passed, and what was kept of it. */
export class LiveShare {
  readonly name: string;
  readonly config: ShareConfig;
  readonly ring: RequestRing;
  readonly traffic: ShareTraffic;
  /** Where the public finds it; empty while it does not. */
  addresses: readonly string[] = [];
  refusal: ShareRefusal | undefined;
  readonly #health: TargetHealth;
  readonly #abort = new AbortController();
  readonly #replays = new Set<Promise<void>>();

  /** @param before the share of this name until now: what it kept and counted goes on. */
  constructor(
    name: string,
    config: ShareConfig,
    options: {
      readonly before: LiveShare | undefined;
      readonly onTarget: (share: LiveShare, state: TargetState) => void;
    },
  ) {
    this.name = name;
    this.config = config;
    this.ring = options.before?.ring ?? new RequestRing();
    this.traffic = options.before?.traffic ?? {
      requests: 0,
      connections: 0,
      active: 0,
      bytesIn: 0,
      bytesOut: 0,
      lastAt: undefined,
    };
    this.#health = new TargetHealth({
      target: parseEndpoint(config.target),
      onChange: (state) => options.onTarget(this, state),
    });
  }

  get target(): TargetState {
    return this.#health.state;
  }

  /**
   * What the relay is asked for.
   * @throws {Error} where the password or the offline page can't be read; with a sentence.
   */
  async spec(readSecret: (secret: Secret) => Promise<string>): Promise<ShareSpec> {
    const { kind, target, name, port, host_header, basic_auth, allow, offline_page } = this.config;
    const guard: Guard = {
      ...(basic_auth && {
        basicAuth: hashBasicAuth(basic_auth.username, await readSecret(basic_auth.password)),
      }),
      ...(allow && { allow: [...allow] }),
    };
    return {
      kind,
      target: parseEndpoint(target),
      name,
      port,
      host: host_header,
      ...(Object.keys(guard).length > 0 && { guard }),
      ...(offline_page !== undefined && { offlinePage: await readOfflinePage(offline_page) }),
    };
  }

  tap(): StreamTap {
    return new TrafficTap(this.traffic, this.#health, this.#inspector());
  }

  /** @throws {Error} where the request can't be sent again, with a sentence. @returns the new request. */
  replay(kept: KeptRequest): KeptRequest {
    const why = whyNoReplay(kept);
    if (why !== undefined) throw new Error(`this request can't be sent again: ${why}`);
    if (this.#replays.size >= MAX_REPLAYS) throw new Error("several are being sent again already");
    const target = parseEndpoint(this.config.target);
    const { request, over } = replay(kept, { target, ring: this.ring, signal: this.#abort.signal });
    this.#replays.add(over);
    void over.finally(() => this.#replays.delete(over));
    return request;
  }

  close(): void {
    this.#health.close();
    this.#abort.abort();
  }

  #inspector(): StreamTap | undefined {
    if (this.config.kind !== "http" || !this.config.inspect) return undefined;
    return new HttpTap((request, start) => {
      this.traffic.requests++;
      return this.ring.begin(request, start);
    });
  }
}

/** Counts what a stream carries, and notes what it says of the local service. */
class TrafficTap implements StreamTap {
  readonly #traffic: ShareTraffic;
  readonly #health: TargetHealth;
  readonly #inspector: StreamTap | undefined;
  #answered = false;

  constructor(traffic: ShareTraffic, health: TargetHealth, inspector: StreamTap | undefined) {
    this.#traffic = traffic;
    this.#health = health;
    this.#inspector = inspector;
    traffic.connections++;
    traffic.active++;
  }

  toLocal(chunk: Buffer): void {
    this.#traffic.bytesIn += chunk.length;
    this.#traffic.lastAt = Date.now();
    this.#inspector?.toLocal(chunk);
  }

  toPublic(chunk: Buffer): void {
    this.#traffic.bytesOut += chunk.length;
    if (!this.#answered) this.#health.note(undefined);
    this.#answered = true;
    this.#inspector?.toPublic(chunk);
  }

  localEnded(): void {
    this.#inspector?.localEnded();
  }

  ended(failure: LocalFailure | undefined): void {
    this.#traffic.active--;
    if (failure !== undefined) this.#health.note(failure.message);
    this.#inspector?.ended(failure);
  }
}

async function readOfflinePage(path: string): Promise<Buffer> {
  const bytes = Buffer.alloc(MAX_OFFLINE_PAGE_BYTES + 1);
  let length = 0;
  try {
    await using file = await open(path, "r");
    for (let read = -1; read !== 0 && length < bytes.length; length += read)
      read = (await file.read(bytes, length, bytes.length - length)).bytesRead;
  } catch (error) {
    throw new Error(`the offline page ${path} can't be read: ${(error as Error).message}`, { cause: error });
  }
  if (length > MAX_OFFLINE_PAGE_BYTES)
    throw new Error(`the offline page ${path} is larger than ${MAX_OFFLINE_PAGE_BYTES / 1024} KiB`);
  return bytes.subarray(0, length);
}
