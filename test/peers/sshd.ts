/**
 * A real OpenSSH server for tests and benchmarks: the current user's, on a free loopback port, with fresh keys in a
 * temporary folder. Everything it made goes with stop(), or with the process that started it.
 */
import { execFile, execFileSync, spawn, type ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { accessSync, constants, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { chmod, copyFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

export type HostKeyType = "ed25519" | "ecdsa" | "rsa";

export interface SshdOptions {
  /** Accept this password, of a throwaway Unix user made for it: only root can (see canAddUsers). */
  readonly password?: string;
  /** Ask for the password by keyboard-interactive (through PAM) and not by the password method. */
  readonly keyboardInteractive?: boolean;
  /** Default: all three. */
  readonly hostKeys?: readonly HostKeyType[];
  /** Lines for sshd_config; they win over the harness's own. */
  readonly config?: readonly string[];
  /** Default: a free one. */
  readonly port?: number;
}

export interface Sshd extends AsyncDisposable {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string | undefined;
  /** An ed25519 key without a passphrase. */
  readonly identityFile: string;
  /** An ed25519 key with `passphrase`, accepted too. */
  readonly encryptedIdentityFile: string;
  readonly passphrase: string;
  /** An RSA key without a passphrase, accepted too. */
  readonly rsaIdentityFile: string;
  /** Holds this server's host keys, current after rotateHostKeys() only once writeKnownHosts() ran. */
  readonly knownHostsFile: string;
  /** A folder of this server's own, for what a test wants to leave there. */
  readonly directory: string;
  /** The process that listens; each connection is a child of it. */
  readonly pid: number;
  /** What sshd has logged so far. */
  log(): string;
  /** Connections that the server holds now. */
  connections(): number;
  /** Stops every process of the server where it stands: to its peers, a black hole. */
  pause(): void;
  resume(): void;
  /** Kills (SIGKILL) the connections; the server itself goes on listening. */
  killConnections(): void;
  /** Kills (SIGKILL) the server and its connections. */
  kill(): Promise<void>;
  /** Kills what still runs, and starts again on the same port. */
  restart(): Promise<void>;
  /** New host keys, in force after restart(). */
  rotateHostKeys(): Promise<void>;
  writeKnownHosts(): Promise<void>;
  /** Ends the server and its connections, and removes files and user. */
  stop(): Promise<void>;
}

const run = promisify(execFile);

/** Password tests need a Unix user made for them. */
export const canAddUsers = process.getuid?.() === 0 && findProgram("useradd") !== undefined;

/** For a test's `skip`: why there is no sshd here, or false. Under CI never a reason: the test then fails. */
export function skipWithoutSshd(): string | false {
  if (process.env["CI"]) return false;
  return findProgram("sshd") === undefined ? "sshd (openssh-server) is not installed" : false;
}

/** For a test's `skip`: why a password can't be tested here, or false. */
export function skipWithoutUsers(): string | false {
  const reason = skipWithoutSshd();
  if (reason !== false || process.env["CI"]) return reason;
  return canAddUsers ? false : "a password test makes a Unix user, which only root can";
}

/** @throws {Error} with sshd's log when it does not come up within ten seconds. */
export async function startSshd(options: SshdOptions = {}): Promise<Sshd> {
  const program = findProgram("sshd");
  if (program === undefined) throw new Error("sshd is not installed (Debian: apt install openssh-server)");
  if (options.password !== undefined && !canAddUsers)
    throw new Error("only root can add the password's user");

  const directory = await mkdtemp(join(tmpdir(), "sockeye-sshd-"));
  const user = options.password === undefined ? userInfo().username : addUser(options.password);
  const hostKeys = options.hostKeys ?? ["ed25519", "ecdsa", "rsa"];
  const passphrase = "correct horse";
  const file = (name: string): string => join(directory, name);

  let child: ChildProcess | undefined;
  let log = "";
  let stopped = false;
  const lastResort = (): void => {
    for (const pid of processTree(child?.pid)) signal(pid, "SIGKILL");
    rmSync(directory, { recursive: true, force: true });
    if (options.password !== undefined) removeUser(user);
  };
  process.once("exit", lastResort);

  try {
    await Promise.all([
      ...hostKeys.map((type) => generateKey(file(`host_${type}`), type)),
      generateKey(file("id_ed25519"), "ed25519"),
      generateKey(file("id_encrypted"), "ed25519", passphrase),
      generateKey(file("id_rsa"), "rsa"),
    ]);
    const identities = ["id_ed25519", "id_encrypted", "id_rsa"];
    const publicKeys = await Promise.all(identities.map((name) => readFile(file(`${name}.pub`), "utf8")));
    await writeFile(file("authorized_keys"), publicKeys.join(""), { mode: 0o644 });
    // sshd reads authorized_keys as the user who logs in.
    await chmod(directory, 0o711);
    if (process.getuid?.() === 0) mkdirSync("/run/sshd", { recursive: true, mode: 0o755 });
  } catch (error) {
    lastResort();
    process.removeListener("exit", lastResort);
    throw error;
  }

  const listen = async (port: number): Promise<void> => {
    await writeFile(file("sshd_config"), configuration(options, hostKeys, directory, port));
    log = "";
    child = spawn(program, ["-D", "-e", "-f", file("sshd_config")], { stdio: ["ignore", "ignore", "pipe"] });
    child.stderr!.setEncoding("utf8").on("data", (text: string) => (log += text));
    const started = child;
    const deadline = Date.now() + 10_000;
    while (!log.includes("Server listening")) {
      if (started.exitCode !== null || started.signalCode !== null || Date.now() > deadline) {
        throw new Error(`sshd did not start:\n${log}`);
      }
      await sleep(10);
    }
  };

  const kill = async (): Promise<void> => {
    const listener = child;
    if (listener === undefined) return;
    child = undefined;
    const ended =
      listener.exitCode !== null || listener.signalCode !== null ? undefined : once(listener, "exit");
    for (const pid of processTree(listener.pid)) signal(pid, "SIGKILL");
    await ended;
  };

  const stop = async (): Promise<void> => {
    if (stopped) return;
    stopped = true;
    await kill();
    process.removeListener("exit", lastResort);
    await rm(directory, { recursive: true, force: true });
    if (options.password !== undefined) removeUser(user);
  };

  let port = options.port ?? 0;
  try {
    port = await listenOnFreePort(listen, options.port);
  } catch (error) {
    await stop();
    throw error;
  }

  const host = "127.0.0.1";
  const writeKnownHosts = async (): Promise<void> => {
    const lines = await Promise.all(
      hostKeys.map(async (type) => `[${host}]:${port} ${await readFile(file(`host_${type}.pub`), "utf8")}`),
    );
    await writeFile(file("known_hosts"), lines.join(""));
  };
  await writeKnownHosts();

  return {
    host,
    port,
    user,
    password: options.password,
    identityFile: file("id_ed25519"),
    encryptedIdentityFile: file("id_encrypted"),
    passphrase,
    rsaIdentityFile: file("id_rsa"),
    knownHostsFile: file("known_hosts"),
    directory,
    log: () => log,
    get pid() {
      return child?.pid ?? 0;
    },
    connections: () => childrenOf(child?.pid, processTable()).length,
    pause: () => {
      for (const pid of processTree(child?.pid)) signal(pid, "SIGSTOP");
    },
    resume: () => {
      for (const pid of processTree(child?.pid)) signal(pid, "SIGCONT");
    },
    killConnections: () => {
      for (const pid of processTree(child?.pid).slice(1)) signal(pid, "SIGKILL");
    },
    kill,
    restart: async () => {
      await kill();
      await listen(port);
    },
    rotateHostKeys: async () => {
      await Promise.all(
        hostKeys.map(async (type) => {
          await rm(file(`host_${type}`));
          await rm(file(`host_${type}.pub`));
          await generateKey(file(`host_${type}`), type);
        }),
      );
    },
    writeKnownHosts,
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

export interface SshAgent extends AsyncDisposable {
  readonly socket: string;
  stop(): Promise<void>;
}

/** A real ssh-agent that holds the given keys (without passphrases). */
export async function startSshAgent(identityFiles: readonly string[]): Promise<SshAgent> {
  const directory = await mkdtemp(join(tmpdir(), "sockeye-agent-"));
  const socket = join(directory, "agent.sock");
  const child = spawn("ssh-agent", ["-D", "-a", socket], { stdio: "ignore" });
  const ended = once(child, "exit");
  const stop = async (): Promise<void> => {
    child.kill("SIGKILL");
    await ended;
    await rm(directory, { recursive: true, force: true });
  };
  try {
    for (const [index, identity] of identityFiles.entries()) {
      const own = join(directory, `key${index}`);
      await copyFile(identity, own);
      await chmod(own, 0o600);
      for (let tries = 0; ; tries++) {
        try {
          await run("ssh-add", ["-q", own], { env: { ...process.env, SSH_AUTH_SOCK: socket } });
          break;
        } catch (error) {
          if (tries === 100) throw error;
          await sleep(20);
        }
      }
    }
  } catch (error) {
    await stop();
    throw error;
  }
  return { socket, stop, [Symbol.asyncDispose]: stop };
}

function configuration(
  options: SshdOptions,
  hostKeys: readonly HostKeyType[],
  directory: string,
  port: number,
): string {
  const root = process.getuid?.() === 0;
  const interactive = options.keyboardInteractive === true;
  // The first value of a keyword wins, so a test's own lines come first.
  return [
    ...(options.config ?? []),
    `ListenAddress 127.0.0.1:${port}`,
    ...hostKeys.map((type) => `HostKey ${join(directory, `host_${type}`)}`),
    `AuthorizedKeysFile ${join(directory, "authorized_keys")}`,
    "StrictModes no",
    "PidFile none",
    "UseDNS no",
    "LogLevel VERBOSE",
    "LoginGraceTime 30",
    "MaxStartups 1000",
    "PermitRootLogin yes",
    `UsePAM ${root && interactive ? "yes" : "no"}`,
    `PasswordAuthentication ${options.password !== undefined && !interactive ? "yes" : "no"}`,
    `KbdInteractiveAuthentication ${interactive ? "yes" : "no"}`,
    "",
  ].join("\n");
}

/** Another program may take the port between our look and sshd's bind: then another port is tried. */
async function listenOnFreePort(
  listen: (port: number) => Promise<void>,
  wanted: number | undefined,
): Promise<number> {
  for (let tries = 1; ; tries++) {
    const port = wanted ?? (await freePort());
    try {
      await listen(port);
      return port;
    } catch (error) {
      if (wanted !== undefined || tries === 3) throw error;
    }
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

async function generateKey(path: string, type: HostKeyType, passphrase = ""): Promise<void> {
  const size = type === "rsa" ? ["-b", "2048"] : [];
  await run("ssh-keygen", ["-q", "-t", type, ...size, "-N", passphrase, "-C", "test", "-f", path]);
}

function addUser(password: string): string {
  const name = `sockeye-${randomBytes(6).toString("hex")}`;
  execFileSync("useradd", ["--no-create-home", "--shell", "/bin/sh", name], { stdio: "pipe" });
  execFileSync("chpasswd", { input: `${name}:${password}\n`, stdio: ["pipe", "pipe", "pipe"] });
  return name;
}

function removeUser(name: string): void {
  try {
    execFileSync("userdel", ["--force", name], { stdio: "pipe" });
  } catch {
    // Already gone, or never made.
  }
}

/** The process and all its descendants, itself first. */
function processTree(pid: number | undefined): number[] {
  if (pid === undefined) return [];
  const table = processTable();
  const tree = [pid];
  for (const member of tree) tree.push(...childrenOf(member, table));
  return tree;
}

function childrenOf(pid: number | undefined, table: ReadonlyMap<number, number>): number[] {
  return [...table].filter(([, parent]) => parent === pid).map(([child]) => child);
}

/** Each process's parent. From /proc where there is one, which a minimal container without `ps` has. */
function processTable(): Map<number, number> {
  const table = new Map<number, number>();
  if (process.platform !== "linux") {
    for (const line of execFileSync("ps", ["-A", "-o", "pid=,ppid="], { encoding: "utf8" }).split("\n")) {
      const [pid, parent] = line.trim().split(/\s+/).map(Number);
      if (pid !== undefined && parent !== undefined) table.set(pid, parent);
    }
    return table;
  }
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const status = readFileSync(`/proc/${name}/stat`, "utf8");
      // After the command's name in brackets: state, then the parent's id. A zombie is no longer there.
      const [state, parent] = status.slice(status.lastIndexOf(")") + 2).split(" ");
      if (state !== "Z") table.set(Number(name), Number(parent));
    } catch {
      // It ended while we looked.
    }
  }
  return table;
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It has ended by itself.
  }
}

function findProgram(name: string): string | undefined {
  const folders = [...(process.env["PATH"] ?? "").split(":"), "/usr/sbin", "/usr/local/sbin", "/sbin"];
  return folders
    .map((folder) => join(folder, name))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}
