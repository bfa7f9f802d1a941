import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort, makePeerFolder, startPeerProcess } from "./peer-process.ts";

export interface TinyproxyOptions {
  readonly username?: string;
  readonly password?: string;
  /** The only port to which it allows CONNECT. Default: every port. */
  readonly connectPort?: number;
  readonly port?: number;
  /** The address that it listens on. Default: loopback. */
  readonly host?: string;
}

export interface Tinyproxy {
  readonly host: string;
  readonly port: number;
  stop(): Promise<void>;
}

/** A real HTTP proxy (tinyproxy) on loopback. */
export async function startTinyproxy(options: TinyproxyOptions = {}): Promise<Tinyproxy> {
  const port = options.port ?? (await freePort());
  const folder = makePeerFolder("tinyproxy");
  const configFile = join(folder, "tinyproxy.conf");
  const lines = [
    `Port ${port}`,
    `Listen ${options.host ?? "127.0.0.1"}`,
    "Timeout 60",
    "MaxClients 200",
    "LogLevel Critical",
  ];
  if (options.username) lines.push(`BasicAuth ${options.username} ${options.password ?? ""}`);
  if (options.connectPort) lines.push(`ConnectPort ${options.connectPort}`);
  writeFileSync(configFile, `${lines.join("\n")}\n`);
  const peer = await startPeerProcess({ program: "tinyproxy", args: ["-d", "-c", configFile], port, folder });
  return { host: "127.0.0.1", port, stop: () => peer.stop() };
}
