/*
 * A machine for the privileged helper to change, inside fresh namespaces (see namespace.ts): its own /run, /var/lib and /etc,
 * two network interfaces, and behind them a namespace named `outside` with a host to talk to.
 */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { spawnHelper, type SpawnedHelper } from "../../engine/src/helper/spawn.ts";
import type { OpenOptions } from "../../engine/src/helper/client.ts";

/** The host outside, reached by the default route alone. */
export const FAR = "203.0.113.7";
export const FAR6 = "2001:db8:7::7";
/** The machine's own addresses on its first interface. */
export const OWN = "192.0.2.2";
export const OWN6 = "2001:db8:1::2";
export const TUN = "10.255.0.1";
export const TUN6 = "fd99::1";
export const RESOLV_CONF = "# made by hand\nsearch corp.example\nnameserver 192.0.2.53\noptions edns0\n";

export const DEVICE: OpenOptions = {
  name: "sockeye",
  mtu: 1500,
  vnetHeader: true,
  addresses: [`${TUN}/32`, `${TUN6}/128`],
};

const SETUP = `
mount -t proc proc /proc
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/lib
mount -t tmpfs tmpfs /etc
ip netns add outside
for n in 0 1; do ip link add eth$n type veth peer name far$n netns outside; ip link set eth$n up; done
ip addr add ${OWN}/24 dev eth0
ip -6 addr add ${OWN6}/64 dev eth0 nodad
ip addr add 198.51.100.2/24 dev eth1
ip netns exec outside sh -e -c '
  for dev in lo far0 far1; do ip link set $dev up; done
  ip addr add ${FAR}/32 dev lo
  ip -6 addr add ${FAR6}/128 dev lo
  ip addr add 192.0.2.1/24 dev far0
  ip -6 addr add 2001:db8:1::1/64 dev far0 nodad
  ip addr add 198.51.100.1/24 dev far1'
ip route add default via 192.0.2.1
ip -6 route add default via 2001:db8:1::1
`;

/** Makes the machine, once, in the namespaces of this process. */
export function makeMachine(): void {
  const kept = ["passwd", "nsswitch.conf", "hosts", "ld.so.cache"].map(
    (name) => [name, readFileSync(`/etc/${name}`)] as const,
  );
  // Link-local addresses come and go by themselves; here the state before and after must be equal.
  const quiet = "echo 1 > /proc/sys/net/ipv6/conf/default/addr_gen_mode";
  run(`${quiet}\n${SETUP}`);
  for (const [name, content] of kept) writeFileSync(`/etc/${name}`, content);
  writeFileSync("/etc/group", "root:x:0:\nsockeye:x:4242:\n");
  writeFileSync("/etc/resolv.conf", RESOLV_CONF, { mode: 0o640 });
}

/** Runs shell commands up to the first that fails; that is an error. @returns what they print. */
export function run(commands: string): string {
  const { status, stdout, stderr } = spawnSync("sh", ["-e", "-c", commands], {
    encoding: "utf8",
    timeout: 20_000,
  });
  if (status !== 0) throw new Error(`${commands}\nended with ${status}: ${stderr}`);
  return stdout;
}

/** All that the helper may change, as text. */
export function machineState(): string {
  return run(`
    ip route show table all; ip -6 route show table all; ip rule; ip -6 rule
    stat -L -c '%a %u %g' /etc/resolv.conf; cat /etc/resolv.conf
    ip -br link show type tun; ls /var/lib/sockeye 2>&1 || true
  `).replace(/^ls: .*\n/m, "");
}

/** The device and table that a packet to `target` takes, as `ip route get` has it: `dev eth0`, `dev sockeye0 table 5200`. */
export function routeOf(target: string, more = ""): string {
  try {
    const text = run(`ip ${target.includes(":") ? "-6" : ""} route get ${target} ${more}`);
    return /dev \S+( table \S+)?/.exec(text)?.[0] ?? text;
  } catch (error) {
    return /RTNETLINK answers: (.*)/.exec(String(error))?.[1] ?? String(error);
  }
}

export interface HelperUnderTest extends SpawnedHelper {
  /** The process that the guardian guards. */
  workerPid(): number;
}

/** A helper of our own, as `sudo sockeye run` starts it. */
export async function startHelper(log: string[] = []): Promise<HelperUnderTest> {
  const helper = await spawnHelper((line) => log.push(line));
  const { pid } = helper.process;
  return { ...helper, workerPid: () => childOf(pid!) };
}

function childOf(parent: number): number {
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const fields = readFileSync(`/proc/${name}/stat`, "utf8").split(") ")[1]!.split(" ");
      if (Number(fields[1]) === parent) return Number(name);
    } catch {
      // It ended meanwhile.
    }
  }
  throw new Error(`process ${parent} has no child`);
}

export interface Outside {
  stop(): Promise<void>;
}

/** On the host outside: echo of TCP on port 7 and of UDP on port 7, both families; port 9 refuses. */
export async function startOutside(): Promise<Outside> {
  const program = `
    const net = require("net"), dgram = require("dgram");
    net.createServer({ allowHalfOpen: true }, (s) => s.on("error", () => {}).pipe(s)).listen(7, "::", () => {
      const udp = dgram.createSocket("udp6");
      udp.on("message", (m, from) => udp.send(m, from.port, from.address));
      udp.bind(7, "::", () => console.log("ready"));
    });
    process.stdin.on("end", () => process.exit()).resume();`;
  const child = spawn("ip", ["netns", "exec", "outside", process.execPath, "-e", program], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const exited = once(child, "exit");
  await once(child.stdout, "data");
  return {
    stop: async () => {
      child.stdin.end();
      await exited;
    },
  };
}
