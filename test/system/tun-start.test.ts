import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import {
  FAR,
  FAR6,
  machineState,
  makeMachine,
  routeOf,
  run,
  startOutside,
  type Outside,
} from "../peers/helper-machine.ts";
import { enterNamespace } from "../peers/namespace.ts";

const COMMAND = fileURLToPath(new URL("../../cli/src/main.ts", import.meta.url));
const DEADLINE_MS = 20_000;

interface Sockeye {
  readonly process: ChildProcess;
  /** Standard error so far. */
  text(): string;
  /** Waits for a text on standard error. */
  says(what: string | RegExp): Promise<void>;
  /** Its exit status, once it has ended by itself. */
  ended(): Promise<number | null>;
  /** Ctrl-C. @returns the exit status. */
  stop(): Promise<number | null>;
}

/** `sockeye run` as root, as a person starts it. */
function startSockeye(
  folder: string,
  config: string,
  env: NodeJS.ProcessEnv = {},
  as: readonly string[] = [],
): Sockeye {
  const file = join(folder, "sockeye.yaml");
  writeFileSync(file, config);
  const command = [process.execPath, COMMAND, "run", "--config", file, "--log-format", "json"];
  const [program, ...args] = [...as, ...command];
  const child = spawn(program!, args, {
    stdio: ["ignore", "ignore", "pipe"],
    env: { PATH: process.env["PATH"], HOME: folder, XDG_RUNTIME_DIR: folder, ...env },
  });
  const ended = once(child, "close");
  let text = "";
  let over = false;
  void ended.then(() => (over = true));
  child.stderr.setEncoding("utf8").on("data", (part: string) => (text += part));
  return {
    process: child,
    text: () => text,
    async says(what) {
      const until = Date.now() + DEADLINE_MS;
      while (text.search(what) === -1) {
        assert.ok(Date.now() < until && !over, `it never said ${String(what)}:\n${text}`);
        await sleep(20);
      }
    },
    async ended() {
      await ended;
      return child.exitCode;
    },
    async stop() {
      child.kill("SIGINT");
      await ended;
      return child.exitCode;
    },
  };
}

/** Whether the host outside answers. */
async function echoes(): Promise<boolean> {
  const socket = connect(7, FAR);
  try {
    socket.write("hello");
    return String((await once(socket, "data"))[0]) === "hello";
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

if (await enterNamespace(import.meta.filename)) {
  makeMachine();
  const folder = mkdtempSync(join(tmpdir(), "sockeye-tun-start-"));
  const outside: Outside = await startOutside();
  let running: Sockeye | undefined;
  const start = (config: string, env?: NodeJS.ProcessEnv): Sockeye =>
    (running = startSockeye(folder, config, env));
  afterEach(() => void running?.process.kill("SIGKILL"));
  after(async () => {
    await outside.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  test("fake-ip mode starts, points the system at its name server, and gives it back", async () => {
    run("mkdir -p /run/sockeye && touch /run/sockeye/lock");
    const before = machineState();
    const sockeye = start(`
upstreams: { far: { type: socks5, address: ${FAR} } }
routes: [{ match: "*.corp.example", to: far }]
tun: { enabled: true, cidrs: [203.0.113.0/24], dns: fake-ip }`);
    await sockeye.says('"running"');
    assert.match(readFileSync("/etc/resolv.conf", "utf8"), /^nameserver 198\.18\.0\.2$/m);
    assert.equal(await sockeye.stop(), 0);
    assert.equal(machineState(), before);
  });

  test("a resolv.conf that is mounted into a read-only /etc is changed, and given back", async () => {
    const original = readFileSync("/etc/resolv.conf", "utf8");
    run(
      "cp /etc/resolv.conf /run/mounted && mount --bind /run/mounted /etc/resolv.conf && mount -o remount,bind,ro /etc",
    );
    const sockeye = start("tun: { enabled: true, cidrs: [203.0.113.0/24], dns: fake-ip }");
    await sockeye.says('"running"');
    assert.match(readFileSync("/etc/resolv.conf", "utf8"), /^nameserver 198\.18\.0\.2$/m);
    assert.equal(await sockeye.stop(), 0);
    assert.equal(readFileSync("/etc/resolv.conf", "utf8"), original);
    run("umount /etc/resolv.conf && mount -o remount,bind,rw /etc");
  });

  test("a second Sockeye says who has TUN mode already, and leaves that alone", async () => {
    const config = "tun: { enabled: true, cidrs: [203.0.113.0/24] }";
    const first = start(config);
    await first.says('"running"');
    const second = startSockeye(folder, config);
    await second.says("in use already");
    assert.equal(await second.ended(), 1);
    assert.match(
      second.text(),
      new RegExp(`^sockeye: [^\n]*TUN mode is in use already, by process ${first.process.pid} of user 0\n$`),
    );
    assert.equal(routeOf(FAR), "dev sockeye0 table 5200");
    assert.equal(await first.stop(), 0);
  });

  test("what is captured and used otherwise is told of, network by network, before anything is changed", async () => {
    const clean = machineState();
    run(`
      mount -t sysfs sysfs /sys
      ip link add docker0 type bridge; ip addr add 172.17.0.1/16 dev docker0; ip link set docker0 up
      ip tuntap add dev corp mode tun; ip addr add 10.9.0.1/24 dev corp; ip link set corp up`);
    const before = machineState();
    const config = "tun: { enabled: true, cidrs: [192.0.0.0/8, 172.16.0.0/12, 10.0.0.0/8, '2001:db8::/32'] }";
    const told = [
      /192\.0\.0\.0\/8 also captures the network 192\.0\.2\.0\/24 that this machine is in \(eth0\)/,
      /172\.16\.0\.0\/12 also captures the container or virtual machine network 172\.17\.0\.0\/16 \(docker0\)/,
      /10\.0\.0\.0\/8 also captures 10\.9\.0\.0\/24, which another VPN carries \(corp\)/,
      /2001:db8::\/32 also captures the network 2001:db8:1:(:|0:0:0:0:)0?\/64 that this machine is in \(eth0\)/,
    ];
    // Without a helper nobody can change anything, and it is told all the same.
    const ordinary = startSockeye(folder, config, {}, ["unshare", "--user", "--map-user=54321"]);
    assert.equal(await ordinary.ended(), 1);
    assert.match(ordinary.text(), /needs a privileged helper, and there is none/);
    assert.equal(machineState(), before);
    const sockeye = start(config);
    await sockeye.says('"running"');
    for (const sentence of told) {
      assert.match(ordinary.text(), sentence);
      assert.match(sockeye.text().split("TUN mode is on")[0]!, sentence);
    }
    assert.equal(await sockeye.stop(), 0);
    assert.equal(machineState(), before);
    run("ip link del docker0; ip link del corp; umount /sys");
    assert.equal(machineState(), clean);
  });

  test("where new devices have IPv6 switched off, IPv6 is captured all the same", async () => {
    run("echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6");
    const sockeye = start("tun: { enabled: true, cidrs: [203.0.113.0/24, '2001:db8:7::/48'] }");
    await sockeye.says('"running"');
    assert.equal(routeOf(FAR6), "dev sockeye0 table 5200");
    assert.equal(await sockeye.stop(), 0);
    run("echo 0 >/proc/sys/net/ipv6/conf/default/disable_ipv6");
  });

  test("a device that somebody deleted is made anew, and limits that a reload changes hold for it", async () => {
    const config = (more: string) => `${more}\ntun: { enabled: true, cidrs: [203.0.113.0/24] }`;
    const sockeye = start(config(""));
    await sockeye.says('"running"');
    run("ip link del sockeye0");
    await sockeye.says(/ended by itself(.|\n)*TUN mode is on/);
    assert.equal(await echoes(), true);
    writeFileSync(join(folder, "sockeye.yaml"), config("limits: { max_connections: 1 }"));
    await sockeye.says("configuration reloaded");
    const first = connect(7, FAR);
    await once(first, "connect");
    assert.equal(await echoes(), false);
    first.destroy();
    assert.equal(await sockeye.stop(), 0);
  });

  test("of two hundred refused connections the log tells twenty", async () => {
    const sockeye = start("tun: { enabled: true, cidrs: [203.0.113.0/24] }");
    await sockeye.says('"running"');
    const refused = Array.from({ length: 200 }, () => {
      const socket = connect(9, FAR);
      return new Promise((resolve) => socket.on("error", () => {}).on("close", resolve));
    });
    await Promise.all(refused);
    assert.equal(await sockeye.stop(), 0);
    assert.equal(sockeye.text().split('"dial failed"').length - 1, 20);
  });

  test("whom sudo names and nobody knows is said, and nothing runs on", async () => {
    const sockeye = start("tun: { enabled: true, cidrs: [203.0.113.0/24] }", {
      SUDO_UID: "1234",
      SUDO_GID: "1234",
      SUDO_USER: "nobody-knows",
    });
    assert.equal(await sockeye.ended(), 1);
    assert.match(
      sockeye.text(),
      /^sockeye: root can't be given up for the user who called sudo: .*nobody-knows.*\n$/,
    );
  });

  test("where every interface has IPv6 switched off, IPv4 is captured", async () => {
    run("echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6");
    const sockeye = start("tun: { enabled: true, cidrs: [0.0.0.0/0, '::/0'] }");
    await sockeye.says('"running"');
    assert.equal(routeOf(FAR), "dev sockeye0 table 5200");
    assert.equal(await sockeye.stop(), 0);
  });

  test("without /dev/net/tun, the message says what provides it", async () => {
    run("mount -t tmpfs tmpfs /dev/net");
    const sockeye = start("tun: { enabled: true, cidrs: [203.0.113.0/24] }");
    await sockeye.says(/\/dev\/net\/tun.*modprobe tun.*No such file/);
    assert.equal(await sockeye.ended(), 1);
    run("umount /dev/net");
  });
}
