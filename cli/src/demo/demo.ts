import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { EngineOptions } from "@sockeye/engine/control/host";
import { startDemoHttpServer, startDemoSocksServer } from "./servers.ts";
import { startDemoSshServer } from "./ssh-server.ts";
import { DEMO_SUFFIX, DemoWorld } from "./world.ts";

const USER = "demo";
/** The ports that people expect; where one is taken, the system chooses another. */
const SOCKS_PORT = 1080;
const HTTP_PORT = 8118;

export interface Demo {
  /** What to start the engine with. */
  readonly engine: Pick<EngineOptions, "configFile" | "history">;
  /** Those that have traffic of their own. */
  readonly upstreams: readonly string[];
  /** One line for each upstream, to be pasted into a shell; the addresses are those that the engine will listen on. */
  readonly lines: readonly { readonly upstream: string; readonly command: string }[];
  close(): Promise<void>;
}

/**
 * An upstream of each kind inside this process, on loopback, with credentials made now; a web server behind them whose
 * names only they can resolve; and a configuration that uses them.
 */
export async function startDemo(): Promise<Demo> {
  const world = new DemoWorld();
  await world.start();
  const passwords = { ssh: newPassword(), socks5: newPassword(), http: newPassword() };
  const ssh = await startDemoSshServer(world, USER, passwords.ssh);
  const socks5 = await startDemoSocksServer(world, USER, passwords.socks5);
  const http = await startDemoHttpServer(world, USER, passwords.http);
  const directory = await mkdtemp(join(tmpdir(), "sockeye-demo-"));
  const knownHosts = join(directory, "known_hosts");
  await writeFile(knownHosts, `[127.0.0.1]:${ssh.port} ${ssh.hostKey}\n`);

  const listen = {
    socks5: `127.0.0.1:${await freePort(SOCKS_PORT)}`,
    http: `127.0.0.1:${await freePort(HTTP_PORT)}`,
  };
  const secrets = {
    ssh: await keepSecret(directory, "ssh", passwords.ssh),
    socks5: await keepSecret(directory, "socks5", passwords.socks5),
    http: await keepSecret(directory, "http", passwords.http),
  };
  const text = configuration(listen, {
    ports: { ssh: ssh.port, socks5: socks5.port, http: http.port },
    secrets,
    knownHosts,
  });
  const configFile = join(directory, "config.yaml");
  await writeFile(configFile, text, { mode: 0o600 });
  return {
    engine: { configFile, history: { file: join(directory, "history.db") } },
    upstreams: names,
    lines: names.map((upstream, i) => {
      const proxy = i % 2 === 0 ? `socks5h://${listen.socks5}` : `http://${listen.http}`;
      return { upstream, command: `curl --proxy ${proxy} http://${upstream}${DEMO_SUFFIX}/` };
    }),
    close: async () => {
      await Promise.all([ssh.close(), socks5.close(), http.close()]);
      world.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

const names = ["bastion", "socks-proxy", "http-proxy", "bastion-behind-proxy"] as const;

interface Parts {
  readonly ports: { readonly ssh: number; readonly socks5: number; readonly http: number };
  readonly secrets: { readonly ssh: string; readonly socks5: string; readonly http: string };
  readonly knownHosts: string;
}

/** The demo's file, as a person would have written it. A text in JSON is one in YAML. */
function configuration(
  listen: { readonly socks5: string; readonly http: string },
  { ports, secrets, knownHosts }: Parts,
): string {
  const bastion = (via: string) => `    type: ssh
    address: 127.0.0.1:${ports.ssh}
    user: ${USER}
    password_file: ${JSON.stringify(secrets.ssh)}
    known_hosts_file: ${JSON.stringify(knownHosts)}
    host_key_check: strict
    ssh_config: false
    agent: false
${via}`;
  const proxy = (type: "socks5" | "http") => `    type: ${type}
    address: 127.0.0.1:${ports[type]}
    auth:
      username: ${USER}
      password_file: ${JSON.stringify(secrets[type])}
`;
  const routes = names.flatMap((name) => [
    `  - { match: ${name}${DEMO_SUFFIX}, to: ${name} }`,
    `  - { match: "*.${name}${DEMO_SUFFIX}", to: ${name} }`,
  ]);
  return `# The demonstration: it is gone when the demonstration ends, so change what you like.
listen:
  socks5: ${listen.socks5}
  http: ${listen.http}
upstreams:
  bastion:
${bastion("")}  socks-proxy:
${proxy("socks5")}  http-proxy:
${proxy("http")}  # The same bastion, reached through the HTTP proxy.
  bastion-behind-proxy:
${bastion("    via: http-proxy\n")}routes: # the first match wins
  - { match: ads${DEMO_SUFFIX}, to: block }
${routes.join("\n")}
default: direct
log:
  level: info
`;
}

/** @returns the file, for its owner alone. */
async function keepSecret(directory: string, name: string, secret: string): Promise<string> {
  const path = join(directory, `${name}-password`);
  await writeFile(path, `${secret}\n`, { mode: 0o600 });
  return path;
}

function newPassword(): string {
  return randomBytes(18).toString("base64url");
}

/** `preferred` where it can be bound on loopback, and otherwise a port that the system chose. */
async function freePort(preferred: number): Promise<number> {
  for (const port of [preferred, 0]) {
    const server = createServer().listen(port, "127.0.0.1");
    try {
      await once(server, "listening");
      return (server.address() as { port: number }).port;
    } catch {
      // Taken; the next one is the system's choice.
    } finally {
      server.close();
    }
  }
  throw new Error("no free port on 127.0.0.1");
}
