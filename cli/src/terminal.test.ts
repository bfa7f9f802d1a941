import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { startDemoSshServer } from "@sockeye/demo/ssh-server";
import { DemoWorld } from "@sockeye/demo/world";

const MAIN = new URL("./main.ts", import.meta.url).pathname;
const root = mkdtempSync(join(tmpdir(), "sockeye-terminal-"));
const children = new Set<ChildProcess>();
after(() => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(root, { recursive: true });
});

const hasScript = spawnSync("script", ["--version"]).status === 0;
const skip =
  !hasScript && !process.env["CI"] && "script (util-linux), which makes a terminal, is not installed";

let homes = 0;
function freshEnvironment(): Record<string, string> {
  const home = join(root, String(++homes));
  mkdirSync(join(home, "run"), { recursive: true, mode: 0o700 });
  const env = { PATH: process.env["PATH"]!, HOME: home, XDG_CONFIG_HOME: join(home, "config") };
  return { ...env, XDG_STATE_HOME: join(home, "state"), XDG_RUNTIME_DIR: join(home, "run"), TERM: "xterm" };
}

/** A command at a terminal; what it writes is the screen. */
class Terminal {
  readonly child: ChildProcess;
  screen = "";

  constructor(
    args: readonly string[],
    env: Record<string, string>,
    wrap = (command: string) => `exec ${command}`,
  ) {
    const command = [process.execPath, MAIN, ...args].map((word) => `'${word}'`).join(" ");
    this.child = spawn("script", ["-qec", wrap(command), "/dev/null"], {
      env,
      stdio: ["pipe", "pipe", "inherit"],
    });
    children.add(this.child);
    this.child.on("exit", () => children.delete(this.child));
    this.child.stdout!.on("data", (chunk) => (this.screen += String(chunk)));
  }

  async until(pattern: RegExp): Promise<void> {
    while (!pattern.test(this.screen)) {
      assert.equal(this.child.exitCode, null, this.screen);
      await once(this.child.stdout!, "data", { signal: AbortSignal.timeout(15_000) }).catch(() =>
        assert.fail(`${pattern} is not on the screen: ${this.screen}`),
      );
    }
  }

  type(keys: string): void {
    this.child.stdin!.write(keys);
  }

  /** The terminal is gone, with whoever held its other end. */
  close(): void {
    this.child.kill("SIGKILL");
  }

  async code(): Promise<number> {
    const [code] = (await once(this.child, "close")) as [number];
    return code;
  }
}

function enginesIn(env: Record<string, string>): string[] {
  return readdirSync(join(env["XDG_RUNTIME_DIR"]!, "sockeye"));
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

async function untilDead(pid: number): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (isAlive(pid)) {
    assert.ok(Date.now() < deadline, `process ${pid} still runs`);
    await sleep(20);
  }
}

/** A bastion that wants a password, and a configuration that has none. */
async function bastion(env: Record<string, string>): Promise<{ file: string; close: () => Promise<void> }> {
  const server = await startDemoSshServer(new DemoWorld(), "demo", "right");
  const knownHosts = join(env["HOME"]!, "known_hosts");
  writeFileSync(knownHosts, `[127.0.0.1]:${server.port} ${server.hostKey}\n`);
  const address = `127.0.0.1:${server.port}`;
  const settings = { known_hosts_file: knownHosts, ssh_config: false, agent: false };
  const file = join(env["HOME"]!, "c.yaml");
  writeFileSync(
    file,
    JSON.stringify({ upstreams: { bastion: { type: "ssh", address, user: "demo", ...settings } } }),
  );
  return { file, close: () => server.close() };
}

describe("at a terminal", { concurrency: 2 }, () => {
  it("ends in good order when the terminal is closed", { skip }, async () => {
    const env = freshEnvironment();
    const terminal = new Terminal(["run", "--socks5", "127.0.0.1:0"], env);
    await terminal.until(/control {2}127/);
    const [name] = enginesIn(env);
    const pid = Number(/\d+/.exec(name ?? "")?.[0]);
    assert.ok(isAlive(pid), String(name));
    terminal.close();
    await untilDead(pid);
    assert.deepEqual(enginesIn(env), [], "it took its token away itself");
  });

  it("says once where it listens, in lines for people", { skip }, async () => {
    const env = freshEnvironment();
    const terminal = new Terminal(["run", "--socks5", "127.0.0.1:0"], env);
    await terminal.until(/control {2}127/);
    assert.match(terminal.screen, /Sockeye 0\.1\.0/);
    assert.equal(terminal.screen.match(/(socks5|SOCKS5) +127/g)?.length, 1, terminal.screen);
    assert.doesNotMatch(terminal.screen, /listen(ers|ing)|ssh_crypto/);
    terminal.type("\x03");
    assert.equal(await terminal.code(), 0);
  });

  it("interrupted at a question, a test ends with status 130", { skip }, async () => {
    const env = freshEnvironment();
    const { file, close } = await bastion(env);
    const terminal = new Terminal(["test", "bastion", "--config", file], env);
    await terminal.until(/password for demo@/);
    // After the question comes raw mode; before it the terminal itself would send the signal.
    await sleep(200);
    terminal.type("\x03");
    assert.equal(await terminal.code(), 130, terminal.screen);
    await close();
  });

  it(
    "shows the step of a test that is under way, and a question on a line of its own",
    { skip },
    async () => {
      const env = freshEnvironment();
      const { file, close } = await bastion(env);
      const terminal = new Terminal(["test", "bastion", "--config", file], env);
      await terminal.until(/password for demo@/);
      assert.match(terminal.screen, /… connecting\S*\r\x1b\[K\S*✓\S* connected /);
      assert.match(terminal.screen, /… authenticating\S*\r\x1b\[Kbastion: password for demo@/);
      await sleep(200);
      terminal.type("right\r");
      assert.equal(await terminal.code(), 0, terminal.screen);
      assert.match(
        terminal.screen,
        /bastion: connected and authenticated; no target was dialled \(add --target HOST:PORT\)/,
      );
      await close();
    },
  );
});

describe("the demo", () => {
  async function startDemo(env: Record<string, string>, wrap: readonly string[] = []): Promise<ChildProcess> {
    const [program, ...args] = [...wrap, process.execPath, MAIN, "demo"];
    const child = spawn(program, args, { env, stdio: ["ignore", "pipe", "inherit"] });
    children.add(child);
    child.on("exit", () => children.delete(child));
    let out = "";
    while (!out.includes("Ctrl-C stops it")) {
      const [chunk] = (await once(child.stdout, "data", { signal: AbortSignal.timeout(15_000) })) as [Buffer];
      out += String(chunk);
    }
    return child;
  }

  it("ends on SIGHUP with status 0, terminal or not", async () => {
    const demo = await startDemo(freshEnvironment());
    const closed = once(demo, "close");
    demo.kill("SIGHUP");
    assert.deepEqual(await closed, [0, null]);
  });

  it("started by npm, ends when the shell that npm put between is ended", async () => {
    const env = { ...freshEnvironment(), npm_lifecycle_event: "start" };
    const shell = await startDemo(env, ["sh", "-c", '"$@"; exit $?', "sh"]);
    const [name] = enginesIn(env);
    const pid = Number(/\d+/.exec(name ?? "")?.[0]);
    assert.notEqual(pid, shell.pid);
    shell.kill("SIGTERM");
    await once(shell, "exit");
    await untilDead(pid);
    assert.deepEqual(enginesIn(env), []);
  });
});
