/*
 * A world for TUN mode, in fresh namespaces (namespace.ts): this machine, whose only way out is `far`, a host that forwards
 * nothing but runs real upstreams; and behind it `deep`, a host that only `far` can reach. The engine is the real command, with
 * the real helper, as root of the namespaces; the tests themselves are the applications on this machine.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { makeCertificate } from "./certificates.ts";
import type { FarQuestion, FarState } from "./far-services.ts";
import type { UpstreamPorts } from "./far-upstreams-process.ts";
import { findProgram } from "./peer-process.ts";
import { destroyOpen, until } from "./tun-client.ts";

/** The host with the upstreams, reached by the default route alone; and another address of it, with services. */
export const UPSTREAM = "203.0.113.10";
export const UPSTREAM6 = "2001:db8:10::10";
export const FAR = "203.0.113.20";
export const FAR6 = "2001:db8:10::20";
/** The host behind it, its name there, and an address in its network that swallows everything. */
export const DEEP = "10.77.0.7";
export const DEEP6 = "fd77::7";
export const DEEP_NAME = "wiki.corp.internal";
export const SILENT = "10.77.0.66";
/** Addresses with services, of either family, by the upstream that everyWay() sends them to. */
export const TARGETS = {
  direct: [FAR, FAR6],
  ssh: ["10.77.1.7", "fd77::1:7"],
  socks5: ["10.77.2.7", "fd77::2:7"],
  http: ["10.77.3.7", "fd77::3:7"],
} as const;
/** An address of an upstream that this machine has no way to. */
export const NO_WAY = "203.0.113.99";
export const RESOLV_CONF =
  "# made by hand\nsearch corp.example\nnameserver 203.0.113.20\noptions timeout:2\n";

/** The ordinary user that runs the upstreams, and the engine beside a helper that listens. */
const ORDINARY = 54_321;
const TMP = "/run/sockeye-test";
const CLI = fileURLToPath(new URL("../../cli/src/main.ts", import.meta.url));
const START_MS = 30_000;
/** What a process of another host may take to end; all that it started goes with the namespaces. */
const GRACE_MS = 5000;
const MAX_OUTPUT = 1024 * 1024;

const SETUP = `
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/lib
mkdir -m 1777 ${TMP}
mkdir -p /run/etc /run/sshd ${TMP}/home
chmod 777 ${TMP}/home
cp -r --preserve=mode /etc/. /run/etc/ 2>/dev/null || true
mount --bind /run/etc /etc
rm -f /etc/resolv.conf
mkdir -p /etc/netns/far /etc/netns/deep
echo "tester:x:${ORDINARY}:${ORDINARY}:a tester:${TMP}/home:/bin/sh" >>/etc/passwd
echo "tester:x:${ORDINARY}:" >>/etc/group
printf '127.0.0.1 localhost\\n::1 localhost\\n' >/etc/hosts
printf '127.0.0.1 localhost\\n${DEEP} ${DEEP_NAME}\\n${DEEP6} ${DEEP_NAME}\\n${DEEP} git.corp.internal\\n' >/etc/netns/far/hosts
echo "nameserver ${DEEP}" >/etc/netns/far/resolv.conf

echo 1 >/proc/sys/net/ipv6/conf/default/addr_gen_mode
ip netns add far
ip netns add deep
for net in far deep; do
  ip netns exec $net sh -e -c 'echo 1 >/proc/sys/net/ipv6/conf/default/addr_gen_mode; ip link set lo up'
done
for n in 0 1; do ip link add near$n type veth peer name far$n netns far; ip link set near$n up; done
for n in 0 1; do ip -6 addr add fe80::2/64 dev near$n nodad; done
ip addr add 192.0.2.2/24 dev near0
ip -6 addr add 2001:db8:1::2/64 dev near0 nodad
ip addr add 198.51.100.2/24 dev near1
ip -6 addr add 2001:db8:2::2/64 dev near1 nodad
ip netns exec far sh -e -c '
  ip link add deep0 type veth peer name far0 netns deep
  # Neighbours are asked for from link-local addresses, which nothing makes by itself here.
  for dev in far0 far1 deep0; do ip link set $dev up; ip -6 addr add fe80::1/64 dev $dev nodad; done
  for a in ${UPSTREAM}/32 ${FAR}/32; do ip addr add $a dev lo; done
  for a in ${UPSTREAM6}/128 ${FAR6}/128; do ip -6 addr add $a dev lo nodad; done
  ip addr add 192.0.2.1/24 dev far0; ip -6 addr add 2001:db8:1::1/64 dev far0 nodad
  ip addr add 198.51.100.1/24 dev far1; ip -6 addr add 2001:db8:2::1/64 dev far1 nodad
  ip addr add 10.77.0.1/16 dev deep0; ip -6 addr add fd77::1/64 dev deep0 nodad
  ip neigh add ${SILENT} lladdr 02:00:00:00:00:66 dev deep0 nud permanent'
ip netns exec deep sh -e -c '
  ip link set far0 up; ip -6 addr add fe80::2/64 dev far0 nodad
  for a in ${DEEP} 10.77.1.7 10.77.2.7 10.77.3.7; do ip addr add $a/16 dev far0; done
  for a in ${DEEP6} fd77::1:7 fd77::2:7 fd77::3:7; do ip -6 addr add $a/64 dev far0 nodad; done'
ip route add default via 192.0.2.1
ip -6 route add default via 2001:db8:1::1
ip route add unreachable ${NO_WAY}
`;

/** Runs shell commands up to the first that fails; that is an error. @returns what they print. */
export function shell(commands: string, timeout = 20_000): string {
  const { status, stdout, stderr } = spawnSync("sh", ["-e", "-c", commands], {
    encoding: "utf8",
    timeout,
    maxBuffer: 64 * MAX_OUTPUT,
  });
  if (status !== 0) throw new Error(`${commands}\nended with ${status}: ${stderr}${stdout}`);
  return stdout;
}

/** Runs a program of this machine, without any proxy setting, to its end. */
export async function program(
  [name, ...args]: readonly [string, ...string[]],
  { env = {}, timeoutMs = 30_000 }: { env?: NodeJS.ProcessEnv; timeoutMs?: number } = {},
): Promise<{ status: number | null; stdout: string; stderr: string }> {
  const child = spawn(findProgram(name) ?? name, args, {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, HOME: `${TMP}/home`, ...env },
    timeout: timeoutMs,
    killSignal: "SIGKILL",
  });
  let [stdout, stderr] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const [status] = (await once(child, "close")) as [number | null];
  return { status, stdout, stderr };
}

/** All that the helper may change, as text. */
export function machineState(): string {
  return shell(`
    ip route show table all; ip -6 route show table all; ip rule; ip -6 rule
    stat -L -c '%a %u %g' /etc/resolv.conf; cat /etc/resolv.conf
    ip -br link show type tun; ls /var/lib/sockeye 2>/dev/null || true
  `);
}

/** A process on another host of the world that is asked by IPC. */
class FarProcess {
  readonly child: ChildProcess;
  readonly #name: string;

  constructor(host: string, command: readonly string[]) {
    this.#name = `${command.at(-2) ?? ""} on ${host}`;
    this.child = spawn("ip", ["netns", "exec", host, ...command], {
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
  }

  answer<T>(): Promise<T> {
    return new Promise((resolve, reject) => {
      const fail = (why: string) => () => reject(new Error(`${this.#name} ${why}`));
      const [onExit, late] = [fail("has ended"), setTimeout(fail("says nothing"), START_MS)];
      this.child.once("exit", onExit);
      this.child.once("message", (message: T) => {
        clearTimeout(late);
        this.child.off("exit", onExit);
        resolve(message);
      });
    });
  }

  async ask(question: FarQuestion): Promise<FarState> {
    this.child.send(question);
    return this.answer<FarState>();
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const exited = once(this.child, "exit");
    this.child.disconnect();
    const late = setTimeout(() => this.child.kill("SIGKILL"), GRACE_MS);
    await exited;
    clearTimeout(late);
  }
}

export interface TunWorldOptions {
  /** Whether the real upstreams are started. Default: true. */
  readonly upstreams?: boolean;
  /** A folder that the hosts serve by HTTP. */
  readonly files?: string;
}

export class TunWorld {
  readonly directory = TMP;
  /** Of the authority that signed the far hosts' certificates. */
  readonly caFile: string;
  /** The host with the upstreams, and the one behind it. */
  readonly far: FarProcess;
  readonly deep: FarProcess;
  /** The upstreams of a configuration: `ssh`, `socks5` and `http`. */
  upstreams: Record<string, Record<string, unknown>> = {};
  identityFile = "";
  #upstreams: FarProcess | undefined;
  readonly #engines: Engine[] = [];

  /** Makes the world, once, in the namespaces of this process. */
  static async make(options: TunWorldOptions = {}): Promise<TunWorld> {
    shell(SETUP);
    writeFileSync("/etc/resolv.conf", RESOLV_CONF, { mode: 0o640 });
    process.env["TMPDIR"] = TMP;
    for (const name of Object.keys(process.env)) if (/_proxy$/i.test(name)) delete process.env[name];
    const world = new TunWorld(options);
    await Promise.all([
      world.far.answer(),
      world.deep.answer(),
      options.upstreams === false ? undefined : world.#startUpstreams(),
    ]);
    return world;
  }

  private constructor({ files = "" }: TunWorldOptions) {
    const certificates = join(TMP, "certificates");
    mkdirSync(certificates);
    const names = [DEEP_NAME, `IP:${DEEP}`, `IP:${FAR}`, `IP:${DEEP6}`, `IP:${FAR6}`];
    this.caFile = makeCertificate(certificates, names).caFile;
    const targets = [process.execPath, script("far-targets-process.ts"), certificates, files];
    this.far = new FarProcess("far", targets);
    this.deep = new FarProcess("deep", targets);
  }

  async #startUpstreams(): Promise<void> {
    const ordinary = ["unshare", "--user", `--map-user=${ORDINARY}`, `--map-group=${ORDINARY}`];
    const command = [...ordinary, process.execPath, script("far-upstreams-process.ts")];
    command.push("deep0", UPSTREAM, `[${UPSTREAM6}]`);
    this.#upstreams = new FarProcess("far", command);
    const { ssh, socks5, http } = await this.#upstreams.answer<UpstreamPorts>();
    this.identityFile = ssh.identityFile;
    this.upstreams = {
      ssh: {
        type: "ssh",
        address: `${UPSTREAM}:${ssh.port}`,
        user: ssh.user,
        identity_file: ssh.identityFile,
        host_key_check: "off",
        agent: false,
        ssh_config: false,
      },
      socks5: { type: "socks5", address: `${UPSTREAM}:${socks5.port}` },
      http: { type: "http", address: `${UPSTREAM}:${http.port}` },
    };
  }

  /**
   * Starts the real command. What `config` leaves out: all upstreams, everything direct, and the TUN device.
   * @throws {Error} with all that it printed where it does not come to run.
   */
  async engine(config: EngineConfig = {}, options: EngineStart = {}): Promise<Engine> {
    const engine = new Engine(this.config(config), options, this.#engines.length);
    this.#engines.push(engine);
    await engine.ready();
    return engine;
  }

  /** Captures all targets, and sends each through its upstream. */
  everyWay({ tun, routes = [], ...rest }: EngineConfig & { routes?: readonly object[] } = {}): EngineConfig {
    const own = Object.entries(TARGETS)
      .filter(([to]) => to === "direct" || to in this.upstreams)
      .flatMap(([to, hosts]) => hosts.map((match) => ({ match, to })));
    const networks = ["10.77.0.0/16", "fd77::/16", `${FAR}/32`, `${FAR6}/128`];
    return { ...rest, routes: [...routes, ...own], default: "block", tun: { cidrs: networks, ...tun } };
  }

  /** A whole configuration. */
  config({ tun, ...rest }: EngineConfig): Record<string, unknown> {
    return {
      listen: { socks5: "127.0.0.1:1080", control: "127.0.0.1:0" },
      upstreams: this.upstreams,
      log: { level: "debug", format: "json" },
      ...rest,
      tun: { enabled: true, cidrs: [], ...tun },
    };
  }

  /** Ends all that runs. */
  async [Symbol.asyncDispose](): Promise<void> {
    destroyOpen();
    for (const engine of this.#engines) await engine.kill();
    await Promise.all([this.far.stop(), this.deep.stop(), this.#upstreams?.stop()]);
  }
}

export interface EngineConfig {
  readonly tun?: Record<string, unknown>;
  readonly [key: string]: unknown;
}

export interface EngineStart {
  /** As a user without any right over the network, to whom a listening helper must give what is needed. */
  readonly ordinary?: boolean;
  /** Ready when this was logged. Default: that it runs. */
  readonly until?: RegExp;
}

/** `sockeye run` as a process. */
export class Engine {
  readonly child: ChildProcess;
  readonly configFile: string;
  /** What a command needs to find it. */
  readonly environment: NodeJS.ProcessEnv;
  readonly #until: RegExp;
  #output = "";

  constructor(config: Record<string, unknown>, options: EngineStart, number: number) {
    this.configFile = join(TMP, `config-${number}.yaml`);
    this.#until = options.until ?? /"msg":"running"/;
    this.write(config);
    const command = [process.execPath, CLI, "run", "--config", this.configFile];
    const ordinary = ["unshare", "--user", `--map-user=${ORDINARY}`, `--map-group=${ORDINARY}`, "--"];
    const [name, ...args] = options.ordinary === true ? [...ordinary, ...command] : command;
    const state = join(TMP, `state-${number}`);
    mkdirSync(state, { mode: 0o700 });
    this.environment = { XDG_RUNTIME_DIR: state, XDG_STATE_HOME: state, HOME: state };
    this.child = spawn(name!, args, {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...this.environment, SUDO_UID: undefined, SUDO_USER: undefined },
    });
    for (const stream of [this.child.stdout!, this.child.stderr!]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        if (this.#output.length < 16 * MAX_OUTPUT) this.#output += text;
      });
    }
  }

  get pid(): number {
    return this.child.pid!;
  }

  get ended(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  /** What it logged and printed so far. */
  get output(): string {
    return this.#output;
  }

  async ready(): Promise<void> {
    const runs = () => this.#until.test(this.#output);
    const waited = until(() => runs() || this.ended, "the engine runs", START_MS).catch(() => {});
    await waited;
    if (!runs()) throw new Error(`the engine does not run:\n${this.#output}`);
  }

  /** Waits until it has logged something after `from`, a length of `output`. */
  async logs(pattern: RegExp, from = 0): Promise<void> {
    try {
      await until(() => pattern.test(this.#output.slice(from)), `it logs ${String(pattern)}`);
    } catch (error) {
      throw new Error(`${(error as Error).message}:\n${this.#output.slice(from).slice(-4000)}`, {
        cause: error,
      });
    }
  }

  /** Changes the configuration's file, as an editor would. */
  write(config: Record<string, unknown> | string): void {
    writeFileSync(this.configFile, typeof config === "string" ? config : JSON.stringify(config));
  }

  /** Changes the file, and waits until it is in force. */
  async reconfigure(config: Record<string, unknown>): Promise<void> {
    const from = this.#output.length;
    this.write(config);
    await this.logs(/"msg":"configuration reloaded"/, from);
  }

  /** Bytes that are resident. */
  memory(): number {
    return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${this.pid}/status`, "utf8"))![1]) * 1024;
  }

  /** The helper's processes: the guardian and the worker. */
  helperPids(): number[] {
    // Those whose parent was killed stay as zombies: the first process of the namespace, a test file, collects none.
    return shell("pgrep -x -r R,S,D sockeye-helper || true").split("\n").filter(Boolean).map(Number);
  }

  /** Orderly, as by Ctrl-C. @returns its status. */
  async stop(signal: NodeJS.Signals = "SIGINT"): Promise<number | null> {
    if (!this.ended) {
      const exited = once(this.child, "exit");
      this.child.kill(signal);
      await exited;
    }
    return this.child.exitCode;
  }

  /** By `kill -9`; then waits until the helper is gone too. */
  async kill(): Promise<void> {
    await this.stop("SIGKILL");
    await until(() => this.helperPids().length === 0, "the helper ends");
  }
}

function script(name: string): string {
  return fileURLToPath(new URL(name, import.meta.url));
}
