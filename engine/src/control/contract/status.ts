/** The engine as a whole. */
import * as z from "zod";
import { configProblem, controlFailure } from "./failure.ts";

export const logLevel = z.enum(["trace", "debug", "info", "warn", "error", "silent"]);

/** Whether traffic is taken in. An engine that is off still answers here, tests upstreams and keeps its configuration. */
export const connectionState = z.discriminatedUnion("state", [
  z.object({
    state: z.literal("off"),
    /** Why the last attempt failed, or why it went off by itself. */
    error: controlFailure.optional(),
  }),
  /** Listeners and TUN mode are being opened, or nothing has reached the default's upstream yet. */
  z.object({ state: z.literal("connecting"), since: z.number() }),
  z.object({ state: z.literal("connected"), since: z.number() }),
  /** Traffic is taken in, and something that it needs does not work. */
  z.object({
    state: z.literal("trouble"),
    since: z.number(),
    cause: z.enum(["upstream", "tun", "listener", "config"]),
    /** The upstream, device or listener. */
    subject: z.string(),
    message: z.string(),
  }),
]);
export type ConnectionState = z.infer<typeof connectionState>;

/** What the device's TCP/IP stack does. What ends in `s` of a verb's doing is a count since TUN mode came on; the others are now. */
export const stackNumbers = z.object({
  connections: z.int(),
  halfOpen: z.int(),
  /** UDP sources. */
  udpSessions: z.int(),
  /** Packets that are being put together from fragments. */
  reassembling: z.int(),
  segmentsIn: z.int(),
  segmentsOut: z.int(),
  retransmissions: z.int(),
  resetsIn: z.int(),
  resetsOut: z.int(),
  /** Packets, for whatever reason: /metrics tells them apart. */
  dropped: z.int(),
  /** Names that have a fake address; absent where none are handed out. */
  fake: z.object({ names: z.int(), capacity: z.int() }).optional(),
});
export type StackNumbers = z.infer<typeof stackNumbers>;

export const engineStatus = z.object({
  version: z.string(),
  contract: z.int(),
  pid: z.int(),
  /** Milliseconds since 1970, as every time here. */
  startedAt: z.number(),
  phase: z.enum(["starting", "running", "draining", "stopped"]),
  connection: connectionState,
  /** Where traffic goes that no rule matches: an upstream, `direct` or `block`. */
  default: z.string(),
  /** The configuration wants TUN mode: it comes on with the next connect. */
  tunEnabled: z.boolean(),
  listeners: z.array(
    z.object({
      kind: z.enum(["socks5", "http", "metrics", "control"]),
      /** `host:port`, with the port that the system chose. */
      address: z.string(),
      /** Connections that are not a flow yet. */
      pending: z.int(),
    }),
  ),
  tun: z.discriminatedUnion("state", [
    z.object({ state: z.literal("off") }),
    z.object({
      state: z.literal("on"),
      device: z.string(),
      /** What is captured, what is excluded not taken out. */
      networks: z.array(z.string()),
      /** Connections that are not a flow yet. */
      pending: z.int(),
      stack: stackNumbers,
    }),
    /** It was on and ended by itself; it is tried again. */
    z.object({ state: z.literal("lost"), error: z.string() }),
  ]),
  flows: z.object({ active: z.int(), total: z.int(), failed: z.int() }),
  bytes: z.object({ up: z.number(), down: z.number() }),
  rssBytes: z.number(),
  logLevel,
  /** Absent where the engine runs without a file. */
  configFile: z.string().optional(),
  /** The last reload was refused, and why; what ran before still runs. */
  configProblems: z.array(configProblem).optional(),
  /** Which cipher code SSH uses in this process. */
  sshCrypto: z.string().optional(),
});
export type EngineStatus = z.infer<typeof engineStatus>;
