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
  readonly engine: Pick<EngineOptions, "configText">;
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
  const auth = (password: string) => ({ username: USER, password });
  const sshUpstream = {
    type: "ssh",
    address: `127.0.0.1:${ssh.port}`,
    user: USER,
    password: passwords.ssh,
    known_hosts_file: knownHosts,
    host_key_check: "strict",
    ssh_config: false,
    agent: false,
  };
  const upstreams = {
    bastion: sshUpstream,
    "socks-proxy": { type: "socks5", address: `127.0.0.1:${socks5.port}`, auth: auth(passwords.socks5) },
    "http-proxy": { type: "http", address: `127.0.0.1:${http.port}`, auth: auth(passwords.http) },
    "bastion-behind-proxy": { ...sshUpstream, via: "http-proxy" },
  };
  const names = Object.keys(upstreams);
  const routes = names.map((name) => ({ match: `${name}${DEMO_SUFFIX}`, to: name }));
  return {
    // JSON is YAML.
    engine: {
      configText: JSON.stringify({ listen, upstreams, routes, default: "direct", log: { level: "warn" } }),
    },
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
