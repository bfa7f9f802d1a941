import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { freePort, makePeerFolder, startPeerProcess } from "./peer-process.ts";

export interface DanteOptions {
  /** `username` needs root: a throwaway system user is made, and removed at the end. Default: none. */
  readonly auth?: "none" | "username";
  /** Where to listen, so that a test can start it again at the same place. Default: a free port. */
  readonly port?: number;
  /** Addresses it listens on, and the interface whose addresses it connects from. Default: loopback. */
  readonly on?: { readonly host: string; readonly external: string };
  /** Addresses it refuses to connect to, as networks. */
  readonly refuse?: readonly string[];
}

export interface Dante {
  readonly host: string;
  readonly port: number;
  readonly username?: string;
  readonly password?: string;
  stop(): Promise<void>;
}

/** A real SOCKS5 server (Dante's danted) on loopback: CONNECT and UDP ASSOCIATE. */
export async function startDante(options: DanteOptions = {}): Promise<Dante> {
  const port = options.port ?? (await freePort());
  const folder = makePeerFolder("dante");
  const user = options.auth === "username" ? await addThrowawayUser() : undefined;
  const configFile = join(folder, "danted.conf");
  writeFileSync(configFile, configuration(port, options));
  try {
    const args = ["-f", configFile, "-N", "1", "-p", join(folder, "danted.pid")];
    const peer = await startPeerProcess({ program: "danted", args, port, folder });
    const stop = async () => {
      await peer.stop();
      await user?.remove();
    };
    return {
      host: "127.0.0.1",
      port,
      ...(user && { username: user.name, password: user.password }),
      stop,
    };
  } catch (error) {
    await user?.remove();
    throw error;
  }
}

function configuration(port: number, options: DanteOptions): string {
  const { host, external } = options.on ?? { host: "127.0.0.1", external: "lo" };
  const everyone = "from: 0/0 to: 0/0";
  const asRoot = process.getuid?.() === 0;
  return `
logoutput: stderr
internal: ${host} port = ${port}
external: ${external}
clientmethod: none
socksmethod: ${options.auth ?? "none"}
${asRoot ? "user.privileged: root\nuser.unprivileged: nobody" : ""}
client pass { ${everyone} }
${(options.refuse ?? []).map((network) => `socks block { from: 0.0.0.0/0 to: ${network} }`).join("\n")}
socks pass { ${everyone} command: connect udpassociate bind }
socks pass { ${everyone} command: bindreply udpreply }
`;
}

interface ThrowawayUser {
  readonly name: string;
  readonly password: string;
  remove(): Promise<void>;
}

async function addThrowawayUser(): Promise<ThrowawayUser> {
  const name = `sockeye-${randomBytes(6).toString("hex")}`;
  const password = randomBytes(12).toString("base64url");
  const hash = spawnSync("openssl", ["passwd", "-6", password], { encoding: "utf8" }).stdout.trim();
  const shell = ["--shell", "/usr/sbin/nologin"];
  await runLocked("useradd", ["--no-create-home", "--no-user-group", ...shell, "--password", hash, name]);
  return { name, password, remove: () => runLocked("userdel", [name]) };
}

/** The user database is locked by whoever changes it, and the tools give up at once. */
async function runLocked(command: string, args: readonly string[]): Promise<void> {
  for (let tries = 0; ; tries++) {
    const { status, stderr } = spawnSync(command, args, { encoding: "utf8" });
    if (status === 0) return;
    if (tries === 20) throw new Error(`${command} failed: ${stderr}`);
    await delay(100);
  }
}
