import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Command } from "commander";
import { createLogger } from "@sockeye/engine/observe/log";
import { ShareClient } from "@sockeye/engine/share/client";
import { createToken, formatToken, hashSecret } from "@sockeye/relay/auth/token";
import { formatTokenEntry } from "@sockeye/relay/auth/tokens-file";
import { startConfiguredRelay } from "@sockeye/relay/configured";
import { parseRelayConfig } from "@sockeye/relay/config/load";
import type { RelayConfig } from "@sockeye/relay/config/schema";
import type { Relay } from "@sockeye/relay/server";
import { print } from "../output.ts";
import { whenParentEnds } from "../parent.ts";
import { LogObserver } from "./log-observer.ts";

/** The port that people expect; where it is taken, the system chooses another. */
const PUBLIC_PORT = 8080;

/** `showoff demo` */
export function registerDemo(program: Command): void {
  program
    .command("demo")
    .description("run a relay, a local service and a client in this process, to try it out")
    .action(demo);
}

async function demo(): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), "showoff-demo-"));
  const token = createToken();
  const tokens = join(directory, "tokens.yaml");
  const entry = { id: token.id, identity: "demo", sha256: hashSecret(token.secret), names: ["*"], ports: [] };
  await writeFile(tokens, `tokens:\n${formatTokenEntry(entry)}\n`, { mode: 0o600 });
  const relay = await startOnPort(PUBLIC_PORT, tokens);
  const local = await startLocalService();
  const { port } = local.address() as AddressInfo;
  const client = new ShareClient({
    relay: relay.control,
    token: formatToken(token),
    watch: true,
    observer: {
      shared: (share) => {
        print("A relay, a local service and a client run here. Paste a line into another terminal:\n");
        print(`  curl ${share.addresses[0]}/`);
        print(`  curl -H 'Host: demo.localhost' http://127.0.0.1:${relay.http!.port}/`);
        print(`  curl -N ${share.addresses[0]}/clock   # one line a second, as it comes`);
        print(
          `\n${share.addresses[0]} leads to http://127.0.0.1:${port}; browsers find it too. Ctrl-C stops it.\n`,
        );
      },
      request: (_share, { method, target, status, ms }) =>
        print(`${status} ${method} ${target} ${Math.round(ms)} ms`),
    },
  });
  client.add({ kind: "http", name: "demo", target: { host: "127.0.0.1", port } });
  client.start();
  await untilAsked();
  client.close();
  local.close();
  local.closeAllConnections();
  await relay.stop(0);
  await rm(directory, { recursive: true, force: true });
}

async function startOnPort(port: number, tokens: string): Promise<Relay> {
  const observer = new LogObserver(createLogger({ level: "warn", format: "auto" }));
  try {
    return await startConfiguredRelay(configuration(port, tokens), observer);
  } catch (error) {
    if (port === 0 || (error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error;
    return startOnPort(0, tokens);
  }
}

function configuration(port: number, tokens: string): RelayConfig {
  const flags = {
    domains: "localhost",
    controlAddress: "127.0.0.1:0",
    dataAddress: "127.0.0.1:0",
    publicHttpAddress: `127.0.0.1:${port}`,
    adminAddress: "off",
    authTokensFile: tokens,
  };
  const result = parseRelayConfig({ flags, env: {}, directory: "/" });
  if ("config" in result) return result.config;
  throw new Error(result.errors.map(({ message }) => message).join("; "));
}

async function startLocalService(): Promise<Server> {
  const server = createServer((request, response) => {
    response.setHeader("Content-Type", "text/plain; charset=utf-8");
    if (request.url !== "/clock") {
      const from = request.headers["x-forwarded-for"];
      response.end(`Hello from the local service. You asked for ${request.url} from ${String(from)}.\n`);
      return;
    }
    const tick = () => response.write(`${new Date().toISOString()}\n`);
    tick();
    const timer = setInterval(tick, 1000);
    response.on("close", () => clearInterval(timer));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}

/** Until a signal, or until npm, which runs this, has ended: its own signal does not end what it runs. */
async function untilAsked(): Promise<void> {
  await new Promise<void>((resolve) => {
    process.once("SIGINT", () => resolve());
    process.once("SIGTERM", () => resolve());
    if (process.env["npm_lifecycle_event"] !== undefined) whenParentEnds(resolve);
  });
}
