import { randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DEMO_FOLDER } from "@sockeye/engine/control/demo";
import type { DemoUpstreams } from "@sockeye/engine/control/host";
import { startDemoHttpServer, startDemoSocksServer } from "./servers.ts";
import { startDemoSshServer } from "./ssh-server.ts";
import { DEMO_SUFFIX, DemoWorld } from "./world.ts";

export const USER = "demo";

/** A bastion and a proxy of each kind inside this process, on loopback, and what one needs to get in. */
export interface DemoServers {
  readonly ports: { readonly ssh: number; readonly socks5: number; readonly http: number };
  /** Files with the passwords, which were made now, for their owner alone. */
  readonly secrets: { readonly ssh: string; readonly socks5: string; readonly http: string };
  readonly knownHosts: string;
  /** Where those files are, and what else is to go with them. */
  readonly directory: string;
  /** Ends the servers and removes the folder. */
  close(): Promise<void>;
}

/** With a web server behind them, whose names only they can resolve. */
export async function startDemoServers(): Promise<DemoServers> {
  const world = new DemoWorld();
  await world.start();
  const passwords = { ssh: newPassword(), socks5: newPassword(), http: newPassword() };
  const ssh = await startDemoSshServer(world, USER, passwords.ssh);
  const socks5 = await startDemoSocksServer(world, USER, passwords.socks5);
  const http = await startDemoHttpServer(world, USER, passwords.http);
  const directory = await mkdtemp(join(tmpdir(), DEMO_FOLDER));
  const knownHosts = join(directory, "known_hosts");
  await writeFile(knownHosts, `[127.0.0.1]:${ssh.port} ${ssh.hostKey}\n`);
  return {
    ports: { ssh: ssh.port, socks5: socks5.port, http: http.port },
    secrets: {
      ssh: await keepSecret(directory, "ssh", passwords.ssh),
      socks5: await keepSecret(directory, "socks5", passwords.socks5),
      http: await keepSecret(directory, "http", passwords.http),
    },
    knownHosts,
    directory,
    close: async () => {
      await Promise.all([ssh.close(), socks5.close(), http.close()]);
      world.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** The same, as upstreams and rules to be added to somebody's configuration, for as long as this process runs. */
export async function startDemoUpstreams(): Promise<DemoUpstreams> {
  const servers = await startDemoServers();
  const { ports, secrets, knownHosts } = servers;
  const bastion = {
    type: "ssh",
    address: `127.0.0.1:${ports.ssh}`,
    user: USER,
    password_file: secrets.ssh,
    known_hosts_file: knownHosts,
    host_key_check: "strict",
    ssh_config: false,
    agent: false,
  };
  const proxy = (type: "socks5" | "http") => ({
    type,
    address: `127.0.0.1:${ports[type]}`,
    auth: { username: USER, password_file: secrets[type] },
  });
  const upstreams = {
    "demo-bastion": bastion,
    "demo-socks-proxy": proxy("socks5"),
    "demo-http-proxy": proxy("http"),
    "demo-bastion-behind-proxy": { ...bastion, via: "demo-http-proxy" },
  };
  const routes = Object.keys(upstreams).map((to) => ({ match: `${to.slice(5)}${DEMO_SUFFIX}`, to }));
  return { upstreams, routes, close: () => servers.close() };
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
