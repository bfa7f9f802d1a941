import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
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
  /** Ctrl-C. @returns the exit status. */
  stop(): Promise<number | null>;
}

/** `sockeye run` as root, as a person starts it. */
function startSockeye(folder: string, config: string): Sockeye {
  const file = join(folder, "sockeye.yaml");
  writeFileSync(file, config);
  const child = spawn(process.execPath, [COMMAND, "run", "--config", file, "--log-format", "json"], {
    stdio: ["ignore", "ignore", "pipe"],
    env: { PATH: process.env["PATH"], HOME: folder, XDG_RUNTIME_DIR: folder },
  });
  const ended = once(child, "close");
  let text = "";
  child.stderr.setEncoding("utf8").on("data", (part: string) => (text += part));
  return {
    process: child,
    text: () => text,
    async says(what) {
      const until = Date.now() + DEADLINE_MS;
      while (text.search(what) === -1) {
        assert.ok(Date.now() < until && child.exitCode === null, `it never said ${String(what)}:\n${text}`);
        await sleep(20);
      }
    },
    async stop() {
      child.kill("SIGINT");
      await ended;
      return child.exitCode;
    },
  };
}

if (await enterNamespace(import.meta.filename)) {
  makeMachine();
  const folder = mkdtempSync(join(tmpdir(), "sockeye-tun-start-"));
  const outside: Outside = await startOutside();
  let running: Sockeye | undefined;
  const start = (config: string): Sockeye => (running = startSockeye(folder, config));
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

  test("a second Sockeye says who has TUN mode already, and leaves that alone", async () => {
    const config = "tun: { enabled: true, cidrs: [203.0.113.0/24] }";
    const first = start(config);
    await first.says('"running"');
    const second = startSockeye(folder, config);
    await second.says("in use already");
    await once(second.process, "exit");
    assert.equal(second.process.exitCode, 1);
    assert.match(
      second.text(),
      new RegExp(`^sockeye: [^\n]*TUN mode is in use already, by process ${first.process.pid} of user 0\n$`),
    );
    assert.equal(routeOf(FAR), "dev sockeye0 table 5200");
    assert.equal(await first.stop(), 0);
  });

  test("where new devices have IPv6 switched off, IPv6 is captured all the same", async () => {
    run("sysctl -qw net.ipv6.conf.default.disable_ipv6=1");
    const sockeye = start("tun: { enabled: true, cidrs: [203.0.113.0/24, '2001:db8:7::/48'] }");
    await sockeye.says('"running"');
    assert.equal(routeOf(FAR6), "dev sockeye0 table 5200");
    assert.equal(await sockeye.stop(), 0);
    run("sysctl -qw net.ipv6.conf.default.disable_ipv6=0");
  });

  test("where every interface has IPv6 switched off, IPv4 is captured", async () => {
    run("sysctl -qw net.ipv6.conf.all.disable_ipv6=1");
    const sockeye = start("tun: { enabled: true, cidrs: [0.0.0.0/0, '::/0'] }");
    await sockeye.says('"running"');
    assert.equal(routeOf(FAR), "dev sockeye0 table 5200");
    assert.equal(await sockeye.stop(), 0);
  });

  test("without /dev/net/tun, the message says what provides it", async () => {
    run("mount -t tmpfs tmpfs /dev/net");
    const sockeye = start("tun: { enabled: true, cidrs: [203.0.113.0/24] }");
    await sockeye.says(/\/dev\/net\/tun.*modprobe tun.*No such file/);
    await once(sockeye.process, "exit");
    assert.equal(sockeye.process.exitCode, 1);
    run("umount /dev/net");
  });
}
