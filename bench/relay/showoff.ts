import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createToken, formatToken, hashSecret } from "@sockeye/relay/auth/token";
import { formatTokenEntry } from "@sockeye/relay/auth/tokens-file";
import { makeCertificate } from "../../test/peers/certificates.ts";
import { freePort } from "../../test/peers/peer-process.ts";
import { startChild } from "../child.ts";
import type { Carrier, Carrying, Wish } from "./carriers.ts";
import type { ClientSettings } from "./showoff-client-process.ts";

const COMMAND = join(import.meta.dirname, "..", "..", "cli", "src", "showoff", "main.ts");
const CLIENT = join(import.meta.dirname, "showoff-client-process.ts");
const NAME = "bench";

/** `showoff serve`, and the client of `sockeye share` with a token. Each stream is authorised, in both. */
export function showoff(link: "clear" | "encrypted", links = 1): Carrier {
  return {
    name: "showoff",
    link,
    needs: ["openssl"],
    start: (wish, stack) => start(wish, stack, { encrypted: link === "encrypted", links }),
  };
}

interface How {
  readonly encrypted: boolean;
  readonly links: number;
}

async function start(
  { origin, approach }: Wish,
  stack: AsyncDisposableStack,
  { encrypted, links }: How,
): Promise<Carrying> {
  const folder = mkdtempSync(join(tmpdir(), "showoff-bench-"));
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  const [control, byName, http, echo] = await freePorts(4);
  const token = createToken();
  const entry = { id: token.id, identity: "bench", sha256: hashSecret(token.secret), names: ["*"] };
  const ports = [http, echo].map((port) => ({ low: port, high: port }));
  const tokensFile = join(folder, "tokens.yaml");
  writeFileSync(tokensFile, `tokens:\n${formatTokenEntry({ ...entry, ports })}\n`, { mode: 0o600 });
  const certificate = encrypted ? makeCertificate(folder, ["localhost"]) : undefined;
  const file = join(folder, "showoff.yaml");
  const config = {
    domains: ["localhost"],
    control: {
      address: `127.0.0.1:${control}`,
      ...(certificate && { tls_cert: certificate.certFile, tls_key: certificate.keyFile }),
    },
    data: { address: "127.0.0.1:0" },
    public_http: { address: `127.0.0.1:${byName}` },
    tcp: { host: "127.0.0.1", ports: [`${http}-${http}`, `${echo}-${echo}`] },
    admin: { address: "off" },
    auth: { tokens_file: tokensFile },
    limits: WITHOUT_RATES,
    log: { level: "warn" },
  };
  writeFileSync(file, JSON.stringify(config));
  const server = stack.use(
    await startChild({
      command: process.execPath,
      args: [COMMAND, "serve", "--config", file],
      port: byName,
    }),
  );
  const local = (port: number) => ({ host: "127.0.0.1", port });
  const settings: ClientSettings = {
    relay: await approach(control),
    token: formatToken(token),
    ...(certificate && { caFile: certificate.caFile }),
    links,
    shares: [
      { kind: "http", name: NAME, target: local(origin.http) },
      { kind: "tcp", port: http, target: local(origin.http) },
      { kind: "tcp", port: echo, target: local(origin.echo) },
    ],
  };
  const client = stack.use(
    await startChild({ command: process.execPath, args: [CLIENT, JSON.stringify(settings)] }),
  );
  return { byName: { port: byName, host: `${NAME}.localhost` }, http, echo, children: [server, client] };
}

/** All load comes from a few addresses here, which is what limits a second are there against. They are still counted. */
const WITHOUT_RATES = {
  connections_per_second: 0,
  connections_per_second_per_client: 0,
  connections_per_second_per_source: 0,
  requests_per_second: 0,
  requests_per_second_per_client: 0,
  requests_per_second_per_source: 0,
};

/** Ports that were free a moment ago, each another one. */
export async function freePorts(count: 2): Promise<[number, number]>;
export async function freePorts(count: 3): Promise<[number, number, number]>;
export async function freePorts(count: 4): Promise<[number, number, number, number]>;
export async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  while (ports.size < count) ports.add(await freePort());
  return [...ports];
}
