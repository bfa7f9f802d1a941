import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import type { EngineOptions } from "@sockeye/engine/control/host";
import { startDemoShare } from "./share.ts";
import { type DemoServers, startDemoServers, USER } from "./upstreams.ts";
import { DEMO_SUFFIX } from "./world.ts";

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
  /** Asks for the page that is shared, at its public address. */
  readonly shareCommand: string;
  close(): Promise<void>;
}

/**
 * An upstream of each kind inside this process, on loopback, with credentials made now; a web server behind them whose
 * names only they can resolve; a relay with a page that is shared through it; and a configuration that uses them all.
 */
export async function startDemo(): Promise<Demo> {
  const servers = await startDemoServers();
  const { directory } = servers;
  const share = await startDemoShare(directory);
  const listen = {
    socks5: `127.0.0.1:${await freePort(SOCKS_PORT)}`,
    http: `127.0.0.1:${await freePort(HTTP_PORT)}`,
  };
  const text = configuration(listen, servers) + share.configuration;
  const configFile = join(directory, "config.yaml");
  await writeFile(configFile, text, { mode: 0o600 });
  return {
    engine: { configFile, history: { file: join(directory, "history.db") } },
    upstreams: names,
    lines: names.map((upstream, i) => {
      const proxy = i % 2 === 0 ? `socks5h://${listen.socks5}` : `http://${listen.http}`;
      return { upstream, command: `curl --proxy ${proxy} http://${upstream}${DEMO_SUFFIX}/` };
    }),
    shareCommand: share.command,
    close: async () => {
      await share.close();
      await servers.close();
    },
  };
}

const names = ["bastion", "socks-proxy", "http-proxy", "bastion-behind-proxy"] as const;

/** The demo's file, as a person would have written it. A text in JSON is one in YAML. */
function configuration(
  listen: { readonly socks5: string; readonly http: string },
  { ports, secrets, knownHosts }: DemoServers,
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
