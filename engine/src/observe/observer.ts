import type { DialErrorCode } from "../errors.ts";

/** What the data plane tells of itself. Each call is cheap; `upstream` is a configured name, "direct" or "block". */
export interface Observer {
  flowOpened(upstream: string): void;
  flowClosed(upstream: string, durationMs: number): void;
  /** Bytes since the last call, summed by the engine once a second and at a flow's end. */
  bytes(upstream: string, up: number, down: number): void;
  dialed(upstream: string, durationMs: number, outcome: "ok" | DialErrorCode): void;
  reconnected(upstream: string): void;
  connectionStatus(upstream: string, connected: boolean): void;
  inboundConnection(inbound: "socks5" | "http" | "tun"): void;
  /** Forgets the series of an upstream that the configuration no longer has. */
  forget(upstream: string): void;
}
