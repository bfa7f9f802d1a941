import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { join } from "node:path";
import { createToken, formatToken, hashSecret } from "@sockeye/relay/auth/token";
import { formatTokenEntry } from "@sockeye/relay/auth/tokens-file";
import { startConfiguredRelay } from "@sockeye/relay/configured";
import { parseRelayConfig } from "@sockeye/relay/config/load";
import { observing } from "@sockeye/relay/observers";

/** The name under which the demo's page is public. */
const NAME = "demo";
/** Between two visits. */
const VISIT_MS = 4_000;
const VISIT_TIMEOUT_MS = 10_000;

export interface DemoShare {
  /** Asks for the shared page at its public address. */
  readonly command: string;
  /** The sections of a configuration that share it. */
  readonly configuration: string;
  close(): Promise<void>;
}

/**
 * A relay on loopback, a small local service, and somebody who visits its public address now and then.
 * @param directory for the token, which is made now.
 */
export async function startDemoShare(directory: string): Promise<DemoShare> {
  const token = createToken();
  const tokens = join(directory, "relay-tokens.yaml");
  const tokenFile = join(directory, "relay-token");
  const entry = { id: token.id, identity: "demo", sha256: hashSecret(token.secret), names: ["*"], ports: [] };
  await writeFile(tokens, `tokens:\n${formatTokenEntry(entry)}\n`, { mode: 0o600 });
  await writeFile(tokenFile, `${formatToken(token)}\n`, { mode: 0o600 });
  const local = await startLocalService();
  const { port } = local.address() as AddressInfo;
  // What happens at the relay shows at the share.
  const relay = await startConfiguredRelay(relayConfiguration(tokens), observing({}));
  const endVisits = startVisits(relay.http!.port);
  const address = `${NAME}.localhost:${relay.http!.port}`;
  return {
    command: `curl http://${address}/`,
    configuration: `relays:
  demo-relay: # inside this process, on loopback
    address: 127.0.0.1:${relay.control.port}
    token_file: ${JSON.stringify(tokenFile)}
shares:
  demo-page: { target: ${port}, name: ${NAME} }
`,
    close: async () => {
      endVisits();
      local.close();
      local.closeAllConnections();
      await relay.stop(0);
    },
  };
}

function relayConfiguration(tokens: string) {
  const flags = {
    domains: "localhost",
    controlAddress: "127.0.0.1:0",
    dataAddress: "127.0.0.1:0",
    publicHttpAddress: "127.0.0.1:0",
    adminAddress: "off",
    authTokensFile: tokens,
  };
  const result = parseRelayConfig({ flags, env: {}, directory: "/" });
  if ("config" in result) return result.config;
  throw new Error(result.errors.map(({ message }) => message).join("; "));
}

async function startLocalService(): Promise<Server> {
  const server = createServer((incoming, response) => {
    let bytes = 0;
    incoming.on("data", (chunk: Buffer) => (bytes += chunk.length));
    incoming.on("end", () => answer(incoming, response, bytes));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}

function answer({ method, url }: IncomingMessage, response: ServerResponse, bytes: number): void {
  if (url === "/") {
    response.setHeader("Content-Type", "text/html; charset=utf-8");
    response.end(PAGE);
    return;
  }
  response.setHeader("Content-Type", "application/json");
  if (url === "/webhook" && method === "POST") {
    response.statusCode = 201;
    response.setHeader("Set-Cookie", "session=demo; HttpOnly");
    response.end(JSON.stringify({ received: bytes }));
  } else if (url === "/time") {
    response.end(JSON.stringify({ now: new Date().toISOString() }));
  } else {
    response.statusCode = 404;
    response.end(JSON.stringify({ error: "there is no such page" }));
  }
}

const PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Shared with Sockeye</title>
<style>
  body { font: 1.1rem/1.6 system-ui, sans-serif; max-width: 34rem; margin: 18vh auto; padding: 0 1.5rem; color-scheme: light dark; }
</style>
<h1>It works</h1>
<p>This page comes from a small server inside the demonstration, through a relay, under a public name.</p>
<p>The <em>Share</em> page shows your visit: open it there, and send it again.</p>
</html>
`;

interface Visit {
  readonly method: string;
  readonly path: string;
  readonly body?: string;
}

const VISITS: readonly Visit[] = [
  { method: "GET", path: "/" },
  { method: "GET", path: "/time" },
  { method: "POST", path: "/webhook", body: JSON.stringify({ event: "order.paid", order: 1042 }) },
  { method: "GET", path: "/time" },
  { method: "GET", path: "/favicon.ico" },
];

/** @returns the way to end it. */
function startVisits(publicPort: number): () => void {
  let count = 0;
  const abort = new AbortController();
  const timer = setInterval(() => {
    const { method, path, body } = VISITS[count++ % VISITS.length]!;
    const outgoing = request({
      method,
      path,
      // A name below localhost is not one that every system resolves.
      createConnection: () => connect({ host: "127.0.0.1", port: publicPort }),
      signal: AbortSignal.any([abort.signal, AbortSignal.timeout(VISIT_TIMEOUT_MS)]),
      headers: {
        host: `${NAME}.localhost:${publicPort}`,
        connection: "close",
        "user-agent": "demo visitor",
        ...(body !== undefined && {
          "content-type": "application/json",
          authorization: "Bearer made-up-for-the-demo",
        }),
      },
    });
    outgoing.on("error", () => {});
    outgoing.on("response", (response) => response.on("error", () => {}).resume());
    outgoing.end(body);
  }, VISIT_MS);
  return () => {
    clearInterval(timer);
    abort.abort();
  };
}
