/** What tests of the SSH upstream share: an upstream for a harness sshd, a way there, and targets behind it. */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import type { Secret, SshUpstreamConfig } from "@sockeye/engine/config/config";
import { DialError, type Endpoint } from "@sockeye/engine";
import type { Dialer } from "@sockeye/engine/upstream/dialer";
import { createDirectUpstream } from "@sockeye/engine/upstream/direct-upstream";
import type { Prompt, Prompter } from "@sockeye/engine/upstream/prompter";
import { createSshUpstream } from "@sockeye/engine/upstream/ssh/upstream";
import type { Upstream, UpstreamLog } from "@sockeye/engine/upstream/upstream";
import type { Sshd } from "./sshd.ts";
import { recordLog } from "./upstreams.ts";

export interface UpstreamOverrides {
  readonly config?: Partial<SshUpstreamConfig>;
  /** Keys of the configuration to leave out. */
  readonly without?: readonly ("user" | "known_hosts_file")[];
  readonly via?: Dialer;
  readonly connectTimeout?: number;
  readonly prompter?: Prompter;
  readonly trustStorePath?: string;
  readonly name?: string;
  readonly log?: UpstreamLog;
  readonly readSecret?: (secret: Secret) => Promise<string>;
}

export interface TestUpstream extends AsyncDisposable {
  readonly upstream: Upstream;
  /** `connected`, `disconnected` and `reconnect`, in the order in which they were told. */
  readonly events: string[];
  dial(target: Endpoint, timeoutMs?: number): Promise<Duplex>;
}

/** An upstream that logs in by key, knows the host's keys, and reads no ~/.ssh/config, but for the overrides. */
export function upstreamFor(sshd: Sshd, overrides: UpstreamOverrides = {}): TestUpstream {
  const events: string[] = [];
  const config: SshUpstreamConfig = {
    type: "ssh",
    address: `${sshd.host}:${sshd.port}`,
    pool_size: 1,
    strategy: "round-robin",
    user: sshd.user,
    identity_file: [sshd.identityFile],
    agent: false,
    known_hosts_file: [sshd.knownHostsFile],
    ssh_config: false,
    ssh_config_file: join(sshd.directory, "ssh_config"),
    ...overrides.config,
  };
  const left = Object.entries(config).filter(
    ([key]) => !(overrides.without as string[] | undefined)?.includes(key),
  );
  const upstream = createSshUpstream({
    name: overrides.name ?? "bastion",
    config: Object.fromEntries(left) as unknown as SshUpstreamConfig,
    limits: { connect_timeout: overrides.connectTimeout ?? 10, ssh_receive_budget: 64 },
    via: overrides.via ?? createDirectUpstream(),
    events: {
      onStateChange: (_name, connected) => events.push(connected ? "connected" : "disconnected"),
      onReconnect: () => events.push("reconnect"),
    },
    readSecret: overrides.readSecret ?? (async (secret) => ("text" in secret ? secret.text : "unused")),
    ...(overrides.prompter && { prompter: overrides.prompter }),
    trustStorePath: overrides.trustStorePath ?? join(sshd.directory, "trusted_hosts"),
    log: overrides.log ?? recordLog(),
  });
  return {
    upstream,
    events,
    dial: async (target, timeoutMs = 10_000) => {
      const late = new DialError("timeout", `no connection within ${timeoutMs} ms`);
      const controller = new AbortController();
      const timer = setTimeout(() => controller.abort(late), timeoutMs);
      try {
        return await upstream.dial(target, { signal: controller.signal });
      } finally {
        clearTimeout(timer);
      }
    },
    [Symbol.asyncDispose]: async () => upstream.close(0),
  };
}

/** Answers with the same word each time, and keeps the questions. */
export function answering(answer: string | undefined): Prompter & { readonly asked: Prompt[] } {
  const asked: Prompt[] = [];
  return {
    asked,
    ask: async (prompt) => {
      asked.push(prompt);
      return answer;
    },
  };
}

export interface Target extends AsyncDisposable {
  readonly endpoint: Endpoint;
}

/** Listens on loopback and hands each connection, half-open allowed, to the test. */
export async function startTarget(serve: (socket: Socket) => void): Promise<Target> {
  const sockets = new Set<Socket>();
  const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket)).on("error", () => undefined);
    serve(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    endpoint: { host: "127.0.0.1", port: (server.address() as AddressInfo).port },
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

/** Sends back what it gets; the end comes back too. */
export const echo = (socket: Socket): void => void socket.pipe(socket);

/** Reads a stream to its end. @throws its error. */
export async function readAll(stream: Duplex): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

export function sha256(data: Buffer): string {
  return createHash("sha256").update(data).digest("hex");
}

/** One small exchange: proof that the stream works. */
export async function exchange(stream: Duplex, text = "ping"): Promise<string> {
  stream.end(text);
  const answer = await readAll(stream);
  return answer.toString();
}
