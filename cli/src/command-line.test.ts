import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, readFileSync, writeFileSync } from "node:fs";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";

const MAIN = new URL("./main.ts", import.meta.url).pathname;
const root = mkdtempSync(join(tmpdir(), "sockeye-cli-"));
const children = new Set<ChildProcess>();
after(() => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(root, { recursive: true });
});

let homes = 0;
/** An environment of its own: no configuration, no running engine. */
function freshEnvironment(): Record<string, string> {
  const home = join(root, String(++homes));
  mkdirSync(join(home, "run"), { recursive: true, mode: 0o700 });
  return {
    PATH: process.env["PATH"]!,
    HOME: home,
    XDG_CONFIG_HOME: join(home, "config"),
    XDG_STATE_HOME: join(home, "state"),
    XDG_RUNTIME_DIR: join(home, "run"),
  };
}

interface Outcome {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

function start(args: readonly string[], env: Record<string, string>, cwd?: string): ChildProcess {
  const child = spawn(process.execPath, [MAIN, ...args], { env, cwd, stdio: ["ignore", "pipe", "pipe"] });
  children.add(child);
  child.on("exit", () => children.delete(child));
  return child;
}

async function sockeye(args: readonly string[], env = freshEnvironment()): Promise<Outcome> {
  return finish(start(args, env));
}

async function finish(child: ChildProcess): Promise<Outcome> {
  let out = "";
  let err = "";
  child.stdout!.on("data", (chunk) => (out += String(chunk)));
  child.stderr!.on("data", (chunk) => (err += String(chunk)));
  const [code] = (await once(child, "close")) as [number | null];
  return { code, out, err };
}

function assertSentence({ err }: Outcome, pattern: RegExp): void {
  assert.match(err, pattern);
  assert.match(err, /^sockeye: [^\n]+\n$/, "one line on standard error");
  assert.doesNotMatch(err, /\n\s+at |\.ts:\d/, "no stack");
  assert.doesNotMatch(err, /\x1b/, "no colours where it is piped");
}

/** An engine that runs, with the address that it listens on. */
async function startEngine(
  env: Record<string, string>,
  args: readonly string[] = ["--socks5", "127.0.0.1:0"],
): Promise<{ child: ChildProcess; port: number; err: () => string }> {
  const child = start(["run", "--log-format", "json", ...args], env);
  let err = "";
  child.stderr!.on("data", (chunk) => (err += String(chunk)));
  const deadline = Date.now() + 15_000;
  while (!err.includes('"msg":"running"')) {
    assert.ok(child.exitCode === null && Date.now() < deadline, err);
    await once(child.stderr!, "data");
  }
  return { child, port: Number(/socks5 127\.0\.0\.1:(\d+)/.exec(err)?.[1]), err: () => err };
}

async function stop(child: ChildProcess): Promise<number> {
  const closed = once(child, "close");
  child.kill("SIGTERM");
  const [code] = (await closed) as [number];
  return code;
}

/** A connection through the engine's SOCKS5 port (RFC 1928). */
async function connectThrough(port: number, target: number): Promise<Socket> {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => {});
  socket.write(Buffer.of(5, 1, 0));
  await once(socket, "data");
  socket.write(Buffer.of(5, 1, 0, 1, 127, 0, 0, 1, target >> 8, target & 0xff));
  const [reply] = (await once(socket, "data")) as [Buffer];
  assert.equal(reply[1], 0);
  return socket;
}

describe("the command line", { concurrency: 3 }, () => {
  it("prints its version and its help, and without a command the help with status 2", async () => {
    const version = await sockeye(["--version"]);
    assert.deepEqual(version, { code: 0, out: "0.1.0\n", err: "" });
    const help = await sockeye(["run", "--help"]);
    assert.equal(help.code, 0);
    assert.match(help.out, /SOCKEYE_LOG_LEVEL/);
    const nothing = await sockeye([]);
    assert.equal(nothing.code, 2);
    assert.match(nothing.err, /Exit status: 0 done/);
  });

  const wrong: [args: string[], env: Record<string, string>, sentence: RegExp][] = [
    [["rnu"], {}, /unknown command 'rnu'; did you mean run\?/],
    [["run", "--log-levl", "info"], {}, /unknown option '--log-levl'; did you mean --log-level\?/],
    [["run", "--log-level", "loud"], {}, /^sockeye: --log-level: "loud" is not one of trace, debug/],
    [["run"], { SOCKEYE_LOG_LEVEL: "loud" }, /^sockeye: SOCKEYE_LOG_LEVEL: "loud" is not one of trace/],
    [["run", "--log-format", "xml"], {}, /^sockeye: --log-format: "xml" is not one of json, pretty/],
    [["run"], { SOCKEYE_LOG_FORMAT: "xml" }, /^sockeye: SOCKEYE_LOG_FORMAT: "xml" is not/],
    [["run", "--socks5", "1080"], {}, /"1080" has no port; write HOST:PORT/],
    [["run"], { SOCKEYE_SOCKS5: "a:99999" }, /SOCKEYE_SOCKS5.*"99999" is not a port/],
    [["run"], { SOCKEYE_HTTP: "::1" }, /SOCKEYE_HTTP.*write \[::1\]:PORT/],
    [["run"], { SOCKEYE_METRICS: "a b:1" }, /SOCKEYE_METRICS.*neither a host name nor an address/],
    [["run", "--socks5", ":1080"], {}, /--socks5: ":1080" has no host; write HOST:PORT/],
    [["run"], { SOCKEYE_CONTROL_NAME: "../x" }, /"\.\.\/x" is no name for an engine/],
    [
      ["test", "a"],
      { SOCKEYE_TIMEOUT: "soon" },
      /^sockeye: SOCKEYE_TIMEOUT: "soon" is not a number of seconds/,
    ],
    [["test", "a", "--timeout", "0"], {}, /^sockeye: --timeout: "0" is not a number of seconds/],
    [["test", "a"], { SOCKEYE_TARGET: "db:0" }, /port 0 is nowhere to connect to/],
    [["nope"], {}, /^sockeye: unknown command 'nope'; --help says what there is\n/],
    [["test"], {}, /missing required argument 'upstream'; --help says what there is\n/],
    [["test", "a", "b"], {}, /too many arguments/],
    [["explain", "example.com"], {}, /"example\.com" has no port/],
    [["flows", "--close", "x"], {}, /^sockeye: --close: "x" is neither a flow's number nor "all"/],
    [
      ["explain", "http://foo/"],
      {},
      /^sockeye: <target>: "http:\/\/foo\/" is a URL; write HOST:PORT, here foo:80\n/,
    ],
    [
      ["test", "a", "--target", "gopher://x"],
      {},
      /^sockeye: --target: "gopher:\/\/x" is a URL; write HOST:PORT\n/,
    ],
    [["flows", "--close", "all", "--watch"], {}, /cannot be used with/],
    [["flows"], { SOCKEYE_LIMIT: "0" }, /whole number from 1 to 10000/],
    [["run"], { SOCKEYE_UI: "maybe" }, /^sockeye: SOCKEYE_UI: "maybe" is not one of open, print\n/],
    [["flows"], { SOCKEYE_CLOSE: "one" }, /^sockeye: SOCKEYE_CLOSE: "one" is neither a flow's number/],
    [["share", "3000"], { SOCKEYE_RELAY: "a b" }, /^sockeye: SOCKEYE_RELAY: /],
    [["share", "3000", "--relay", "r"], { SOCKEYE_SHARE_PORT: "0" }, /^sockeye: SOCKEYE_SHARE_PORT: "0" /],
    [["share", "3000", "--relay", "r"], { SOCKEYE_LINKS: "9" }, /^sockeye: SOCKEYE_LINKS: "9" /],
    [
      ["share", "3000", "--relay", "r"],
      { SOCKEYE_ALLOW: "here" },
      /^sockeye: SOCKEYE_ALLOW: "here" is not a/,
    ],
    [["share", "3000", "--relay", "r"], { SOCKEYE_INSPECT: "2" }, /^sockeye: SOCKEYE_INSPECT is "2"; write/],
    [["status"], { SOCKEYE_JSON: "perhaps" }, /SOCKEYE_JSON is "perhaps"; write 1 or 0/],
    [["completion", "tcsh"], {}, /^sockeye: <shell>: "tcsh" is not one of bash, zsh, fish/],
  ];
  for (const [args, env, sentence] of wrong) {
    const given = [...Object.entries(env).map(([name, value]) => `${name}=${value}`), ...args].join(" ");
    it(`answers "${given}" with a sentence and status 2`, async () => {
      const outcome = await sockeye(args, { ...freshEnvironment(), ...env });
      assertSentence(outcome, sentence);
      assert.deepEqual([outcome.code, outcome.out], [2, ""]);
    });
  }

  it("says with status 4 that no engine runs", async () => {
    for (const command of ["status", "flows"]) {
      const outcome = await sockeye([command, "--json"]);
      assertSentence(outcome, /no engine is running; start one with: sockeye run/);
      assert.equal(outcome.code, 4);
    }
  });

  it("says with status 3 that there is no configuration, or that it can't be read", async () => {
    const none = await sockeye(["run"]);
    assertSentence(none, /there is no configuration at .*config\.yaml; write one/);
    assert.equal(none.code, 3);
    for (const args of [
      ["check", "/nowhere.yaml"],
      ["run", "--config", "/nowhere.yaml"],
      ["test", "a", "--config", "/nowhere.yaml"],
      ["explain", "a:1", "--config", "/nowhere.yaml"],
    ]) {
      const outcome = await sockeye(args);
      assertSentence(outcome, /can't read \/nowhere\.yaml: it does not exist/);
      assert.equal(outcome.code, 3);
    }
    for (const args of [
      ["check"],
      ["run", "--config"],
      ["test", "a", "--config"],
      ["explain", "a:1", "--config"],
    ]) {
      const outcome = await sockeye([...args, "/"]);
      assertSentence(outcome, /can't read \/: it is a folder/);
      assert.equal(outcome.code, 3);
    }
  });

  it("takes an empty variable for none", async () => {
    const outcome = await sockeye(["check"], { ...freshEnvironment(), SOCKEYE_CONFIG: "" });
    assertSentence(outcome, /there is no configuration at .*config\.yaml/);
    const levelless = await sockeye(["run"], {
      ...freshEnvironment(),
      SOCKEYE_LOG_LEVEL: "",
      SOCKEYE_SOCKS5: "",
    });
    assertSentence(levelless, /there is no configuration at/);
  });

  it("finds a file beside the person where npm runs it in the project's folder", async () => {
    const env = freshEnvironment();
    writeFileSync(join(env["HOME"]!, "u.yaml"), "listen: { socks5: 127.0.0.1:1080 }\n");
    const byNpm = { ...env, npm_lifecycle_event: "sockeye", INIT_CWD: env["HOME"]! };
    const cwd = new URL("../..", import.meta.url).pathname;
    const right = { code: 0, out: "✓ u.yaml is right\n", err: "" };
    assert.deepEqual(await finish(start(["check", "u.yaml"], byNpm, cwd)), right);
    // INIT_CWD is inherited: a script of another project, in a folder of its own choice, has not asked for it.
    assert.deepEqual(
      await finish(start(["check", "u.yaml"], { ...byNpm, INIT_CWD: "/" }, env["HOME"])),
      right,
    );
  });

  it("checks a file: every problem as file:line:col with status 3, and 0 for a right one", async () => {
    const env = freshEnvironment();
    const bad = join(env["HOME"]!, "bad.yaml");
    writeFileSync(bad, 'upstreams:\n  a: { type: htp, address: x }\nroutes:\n  - { match: "*", to: b }\n');
    const outcome = await sockeye(["check", bad], env);
    assert.equal(outcome.code, 3);
    assert.equal(outcome.out, "");
    const lines = outcome.err.trimEnd().split("\n");
    assert.ok(
      lines.every((line) => line.startsWith(`${bad}:`) && /:\d+:\d+: \S/.test(line)),
      outcome.err,
    );
    assert.match(outcome.err, /bad\.yaml:2:14: type must be ssh, socks5 or http/);
    assert.match(outcome.err, /bad\.yaml:4:23: .*did you mean a\?/);
    const json = await sockeye(["check", bad, "--json"], env);
    assert.equal(json.code, 3);
    const report = JSON.parse(json.out) as { ok: boolean; errors: { line: number }[] };
    assert.deepEqual([report.ok, report.errors.map(({ line }) => line)], [false, [2, 4]]);
    const run = await sockeye(["run", "--config", bad], env);
    assert.equal(run.code, 3);
    assert.match(run.err, /bad\.yaml:2:14: /);
    const test = await sockeye(["test", "a", "--config", bad], env);
    assert.deepEqual([test.code, test.out], [3, ""]);
    assert.match(test.err, /bad\.yaml:2:14: .*\n[^]*bad\.yaml:4:23: .*\n/);

    const good = join(env["HOME"]!, "good.yaml");
    writeFileSync(good, "listen: { socks5: 127.0.0.1:1080 }\n");
    assert.deepEqual(await sockeye(["check", good], env), { code: 0, out: `✓ ${good} is right\n`, err: "" });
    assert.equal((await sockeye(["check"], { ...env, SOCKEYE_CONFIG: good })).code, 0);
  });

  it("explains by a file which rule decides and through which chain", async () => {
    const env = freshEnvironment();
    const file = join(env["HOME"]!, "c.yaml");
    writeFileSync(
      file,
      'listen: { socks5: 127.0.0.1:1080 }\nupstreams:\n  a: { type: http, address: "h:1" }\n' +
        '  b: { type: socks5, address: "h:2", via: a }\nroutes: [{ match: "*.corp", to: b }]\n',
    );
    const outcome = await sockeye(["explain", "db.corp:5432", "--config", file], env);
    assert.equal(outcome.code, 0, outcome.err);
    assert.match(outcome.out, /^db\.corp:5432 → b \(a → b\)\n {2}by rule 1: \*\.corp\n/);
    assert.match(
      outcome.out,
      /\n {2}TUN mode is off, and would not capture it: tun\.dns is off, and tun\.cidrs is empty/,
    );
    const json = JSON.parse(
      (await sockeye(["explain", "x:1", "--config", file, "--json"], env)).out,
    ) as object;
    assert.deepEqual(json, { ...json, to: "direct", chain: ["direct"], matched: "default" });

    const tun = "tun: { enabled: true, cidrs: [10.0.0.0/8], exclude: [10.1.0.0/16], dns: fake-ip }\n";
    writeFileSync(file, readFileSync(file, "utf8") + tun);
    const lastLine = async (target: string) =>
      (await sockeye(["explain", target, "--config", file], env)).out.trimEnd().split("\n").at(-1)?.trim();
    assert.equal(await lastLine("10.2.3.4:80"), "TUN mode captures it: tun.cidrs has 10.0.0.0/8");
    assert.equal(
      await lastLine("10.1.3.4:80"),
      "TUN mode does not capture it: tun.exclude leaves 10.1.0.0/16 out",
    );
    assert.match(
      (await lastLine("db.corp:80"))!,
      /^TUN mode captures it: routes mention the name, so tun\.dns/,
    );
    assert.match((await lastLine("x.example:80"))!, /^TUN mode may capture it: no route mentions the name/);
  });

  it("tests an upstream: the failing step with its code and status 5, an unknown name with status 3", async () => {
    const env = freshEnvironment();
    const proxy = createServer((socket) => {
      socket.on("error", () => {});
      socket.once("data", () => socket.write(Buffer.of(5, 0)));
    });
    await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
    const { port } = proxy.address() as AddressInfo;
    const file = join(env["HOME"]!, "c.yaml");
    writeFileSync(
      file,
      `upstreams:\n  closed: { type: http, address: "127.0.0.1:1" }\n  open: { type: socks5, address: "127.0.0.1:${port}" }\n`,
    );
    const closed = await sockeye(["test", "closed"], { ...env, SOCKEYE_CONFIG: file });
    assert.equal(closed.code, 5);
    assert.match(closed.out, /^✗ .*127\.0\.0\.1:1 refused the connection.* \(refused\)\n$/m);
    assert.equal(closed.err, "");
    const open = await sockeye(["test", "open", "--config", file], env);
    assert.equal(open.code, 0, open.out + open.err);
    assert.match(open.out, /^✓ connected +[\d.]+ ms\n✓ handshake +[\d.]+ ms\n/m);
    assert.match(
      open.out,
      /^open: connected, and it answers; no target was dialled \(add --target HOST:PORT\)$/m,
    );
    const unknown = await sockeye(["test", "opne", "--config", file], env);
    assertSentence(unknown, /no upstream is called "opne"; there is closed, open, direct/);
    assert.equal(unknown.code, 3);
    const blocked = await sockeye(["test", "block", "--config", file], env);
    assertSentence(blocked, /block leads nowhere; there is closed, open, direct/);
    const direct = await sockeye(["test", "direct", "--config", file], env);
    assert.equal(direct.out, "direct: nothing to connect to without a target; add --target HOST:PORT\n");
    const reached = await sockeye(["test", "direct", "--config", file, "--target", `127.0.0.1:${port}`], env);
    assert.match(reached.out, new RegExp(`^direct: reaches 127\\.0\\.0\\.1:${port}$`, "m"));
    const late = await sockeye(
      ["test", "open", "--config", file, "--target", "a:1", "--timeout", "0.3"],
      env,
    );
    assert.equal(late.code, 5, late.out + late.err);
    assert.match(late.out, /✓ connected[^]*✗ [^\n]*\(timeout\)/);
    proxy.close();
  });

  it("prints each step of a test as it ends, before the next has", async () => {
    const env = freshEnvironment();
    // It lets us in, and then never answers the request.
    const proxy = createServer((socket) => {
      socket.on("error", () => {});
      socket.once("data", () => socket.write(Buffer.of(5, 0)));
    });
    await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
    const { port } = proxy.address() as AddressInfo;
    const file = join(env["HOME"]!, "c.yaml");
    writeFileSync(file, `upstreams:\n  open: { type: socks5, address: "127.0.0.1:${port}" }\n`);
    const child = start(["test", "open", "--config", file, "--target", "a:1"], env);
    let out = "";
    child.stdout!.on("data", (chunk) => (out += String(chunk)));
    while (!/✓ handshake +[\d.]+ ms\n$/.test(out)) await once(child.stdout!, "data");
    assert.equal(child.exitCode, null);
    child.kill("SIGINT");
    const [code] = (await once(child, "close")) as [number];
    assert.equal(code, 130);
    assert.match(out, /✗ reaching the target: interrupted \(cancelled\)\n$/);
    assert.equal(out.match(/✓ handshake/g)?.length, 1);
    proxy.close();
  });

  it("does not say that a proxy works which was not asked anything", async () => {
    const env = freshEnvironment();
    const proxy = createServer((socket) => socket.on("error", () => {}));
    await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
    const { port } = proxy.address() as AddressInfo;
    const file = join(env["HOME"]!, "c.yaml");
    writeFileSync(file, `upstreams:\n  mute: { type: http, address: "127.0.0.1:${port}" }\n`);
    const { code, out } = await sockeye(["test", "mute", "--config", file, "--timeout", "1"], env);
    assert.doesNotMatch(out, /works/);
    if (code === 0)
      assert.match(out, /^mute: connected; the proxy itself was not asked anything yet, add --target/m);
    proxy.close();
  });

  it("runs: carries a flow, shows it, closes it, and stops on SIGTERM with status 0", async () => {
    const env = freshEnvironment();
    const target = createServer((socket) => socket.on("error", () => {}));
    await new Promise<void>((resolve) => target.listen(0, "127.0.0.1", resolve));
    const { child, port } = await startEngine(env);
    const socket = await connectThrough(port, (target.address() as AddressInfo).port);

    const status = JSON.parse((await sockeye(["status", "--json"], env)).out) as {
      flows: { active: number };
      upstreams: { name: string }[];
    };
    assert.equal(status.flows.active, 1);
    assert.deepEqual(
      status.upstreams.map(({ name }) => name),
      ["direct"],
    );
    assert.match((await sockeye(["status"], env)).out, /^Sockeye 0\.1\.0, running, process \d+/);
    const flows = JSON.parse((await sockeye(["flows"], { ...env, SOCKEYE_JSON: "1" })).out) as {
      flows: { id: number }[];
    };
    assert.equal(flows.flows.length, 1);
    assert.match((await sockeye(["flows"], env)).out, /^FLOW .*\n\d+ +open +direct /);
    assert.match((await sockeye(["flows", "--upstream", "direct"], env)).out, /^FLOW /);
    const unknown = await sockeye(["flows", "--upstream", "nope"], env);
    assertSentence(unknown, /no upstream is called "nope"; the engine has direct/);
    assert.equal(unknown.code, 1);
    const nothing = await sockeye(["flows", "--close", "999999"], env);
    assertSentence(nothing, /no flow has the number 999999/);
    assert.equal(nothing.code, 1);
    // Closed from outside, it is reset: an error, and then the close.
    const closing = new Promise<void>((resolve) => socket.on("close", () => resolve()));
    assert.equal(
      (await sockeye(["flows", "--close", String(flows.flows[0]!.id)], env)).out,
      "1 flow closed\n",
    );
    await closing;

    assert.equal(await stop(child), 0);
    assert.deepEqual(readdirSync(join(env["XDG_RUNTIME_DIR"]!, "sockeye")), [], "no token is left behind");
    target.close();
  });

  it("ends at once on a second signal, with the signal's status", async () => {
    for (const [signal, code] of [
      ["SIGINT", 130],
      ["SIGTERM", 143],
    ] as const) {
      const env = freshEnvironment();
      const target = createServer((socket) => socket.on("error", () => {}));
      await new Promise<void>((resolve) => target.listen(0, "127.0.0.1", resolve));
      const { child, port, err } = await startEngine(env);
      const socket = await connectThrough(port, (target.address() as AddressInfo).port);
      child.kill(signal);
      while (!err().includes("draining")) await once(child.stderr!, "data");
      const started = Date.now();
      const closed = once(child, "close");
      child.kill(signal);
      assert.deepEqual(await closed, [code, null]);
      assert.ok(Date.now() - started < 3_000);
      socket.destroy();
      target.close();
    }
  });

  it("reads the file again on SIGHUP, and a bad file changes nothing that runs", async () => {
    const env = freshEnvironment();
    const file = join(env["HOME"]!, "c.yaml");
    writeFileSync(file, "listen: { socks5: 127.0.0.1:0 }\n");
    const { child, err } = await startEngine(env, ["--config", file]);
    writeFileSync(file, "listen: { socks5: wrong }\n");
    child.kill("SIGHUP");
    while (!err().includes("was not reloaded")) await once(child.stderr!, "data");
    const status = await sockeye(["status"], env);
    assert.match(status.out, /not reloaded: 1:\d+: /);
    assert.match(status.out, /listening socks5 127\.0\.0\.1:/);
    writeFileSync(
      file,
      'listen: { socks5: "127.0.0.1:0" }\nupstreams: { a: { type: http, address: "h:1" } }\n',
    );
    child.kill("SIGHUP");
    while (!err().includes("configuration reloaded")) await once(child.stderr!, "data");
    assert.equal(await stop(child), 0);
  });

  it("says which engines run where several do, and takes one by name", async () => {
    const env = freshEnvironment();
    const office = await startEngine({ ...env, SOCKEYE_CONTROL_NAME: "office" });
    const home = await startEngine(env, ["--socks5", "127.0.0.1:0", "--control-name", "home"]);
    const unclear = await sockeye(["status"], env);
    assertSentence(
      unclear,
      /several engines are running; choose one with --engine NAME: (home, office|office, home)/,
    );
    assert.equal(unclear.code, 4);
    assert.equal((await sockeye(["status", "--engine", "home"], env)).code, 0);
    const taken = await sockeye(["run", "--socks5", "127.0.0.1:0", "--control-name", "home"], env);
    assert.equal(taken.code, 1);
    assert.match(taken.err, /an engine named "home" is running already/);
    assert.deepEqual(await Promise.all([stop(office.child), stop(home.child)]), [0, 0]);
  });

  it("says in a sentence that an address is in use, with status 1", async () => {
    const holder = createServer();
    await new Promise<void>((resolve) => holder.listen(0, "127.0.0.1", resolve));
    const { port } = holder.address() as AddressInfo;
    const outcome = await sockeye(["run", "--socks5", `127.0.0.1:${port}`]);
    assert.equal(outcome.code, 1);
    assert.match(outcome.err, new RegExp(`^sockeye: [^\\n]*${port}[^\\n]*\\n`));
    assert.doesNotMatch(outcome.err, /\n\s+at /);
    holder.close();
  });

  it("warns of a variable that nothing reads", async () => {
    const outcome = await sockeye(["run"], { ...freshEnvironment(), SOCKEYE_LOGLEVEL: "debug" });
    assert.match(outcome.err, /nothing reads SOCKEYE_LOGLEVEL; did you mean SOCKEYE_LOG_LEVEL\?/);
  });

  it("is quiet when its reader has read enough", async () => {
    const env = freshEnvironment();
    const { child } = await startEngine(env);
    const watching = start(["flows", "--watch", "--json"], env);
    await once(watching.stdout!, "data");
    watching.stdout!.destroy();
    let err = "";
    watching.stderr!.on("data", (chunk) => (err += String(chunk)));
    const closed = once(watching, "close");
    const other = await sockeye(["flows"], env);
    assert.equal(other.code, 0);
    await stop(child);
    await closed;
    assert.doesNotMatch(err, /EPIPE|\n\s+at /);
  });

  it("shows a stack with --log-level trace, and only then", async () => {
    const env = freshEnvironment();
    assert.match((await sockeye(["run", "--log-level", "trace"], env)).err, /\n\s+at /);
    assert.doesNotMatch((await sockeye(["run", "--log-level", "debug"], env)).err, /\n\s+at /);
  });
});

describe("completion", { concurrency: 3 }, () => {
  /** A home whose PATH has a `sockeye`, and whose configuration has two upstreams. */
  function home(): { env: Record<string, string>; script: (shell: string) => Promise<string> } {
    const env = freshEnvironment();
    const bin = join(env["HOME"]!, "bin");
    mkdirSync(bin);
    writeFileSync(join(bin, "sockeye"), `#!/bin/sh\nexec ${process.execPath} ${MAIN} "$@"\n`);
    chmodSync(join(bin, "sockeye"), 0o755);
    mkdirSync(join(env["XDG_CONFIG_HOME"]!, "sockeye"), { recursive: true });
    writeFileSync(
      join(env["XDG_CONFIG_HOME"]!, "sockeye", "config.yaml"),
      'upstreams: { production: { type: http, address: "h:1" }, staging: { type: http, address: "h:2" } }\n',
    );
    writeFileSync(
      join(env["HOME"]!, "my config.yaml"),
      'upstreams: { other: { type: http, address: "h:1" } }\n',
    );
    env["PATH"] = `${bin}:${env["PATH"]!}`;
    const script = async (shell: string) => {
      const path = join(env["HOME"]!, `completion.${shell}`);
      writeFileSync(path, (await sockeye(["completion", shell], env)).out);
      return path;
    };
    return { env, script };
  }

  async function inShell(shell: string, args: string[], env: Record<string, string>): Promise<string[]> {
    const child = spawn(shell, args, { env, cwd: env["HOME"], stdio: ["ignore", "pipe", "pipe"] });
    children.add(child);
    const { out, err } = await finish(child);
    children.delete(child);
    assert.equal(err, "");
    return out
      .split("\n")
      .map((line) => line.trim())
      .filter((line) => line !== "");
  }

  /** A skip's reason in words; where CI is set, what is missing fails. */
  const missing = (shell: string) => {
    const there = process.env["PATH"]!.split(":").some((folder) => {
      try {
        return readdirSync(folder).includes(shell);
      } catch {
        return false;
      }
    });
    return !there && !process.env["CI"] && `${shell} is not installed`;
  };

  it("completes in bash", { skip: missing("bash") }, async () => {
    const { env, script } = home();
    const path = await script("bash");
    const complete = async (...typed: string[]) => {
      const list = typed.map((word) => `'${word}'`).join(" ");
      const code = `source ${path}; COMP_WORDS=(${list}); COMP_CWORD=${typed.length - 1}; _sockeye; printf '%s\\n' "\${COMPREPLY[@]}"`;
      return inShell("bash", ["--norc", "-c", code], env);
    };
    assert.deepEqual(await complete("sockeye", "st"), ["status"]);
    assert.ok((await complete("sockeye", "")).includes("explain"));
    assert.ok(!(await complete("sockeye", "")).includes("complete-upstreams"));
    assert.deepEqual(await complete("sockeye", "run", "--log-l"), ["--log-level"]);
    assert.deepEqual(await complete("sockeye", "run", "--log-level", "d"), ["debug"]);
    assert.deepEqual(await complete("sockeye", "check", "my"), ["my config.yaml"]);
    assert.deepEqual(await complete("sockeye", "run", "--config", "my"), ["my config.yaml"]);
    assert.deepEqual(await complete("sockeye", "test", ""), ["production", "staging"]);
    assert.deepEqual(await complete("sockeye", "flows", "--upstream", "p"), ["production"]);
    assert.deepEqual(await complete("sockeye", "test", "--config", "my config.yaml", ""), ["other"]);
    assert.deepEqual(await complete("sockeye", "explain", ""), []);
  });

  it("completes in fish", { skip: missing("fish") }, async () => {
    const { env, script } = home();
    const path = await script("fish");
    const complete = async (line: string) => {
      const answers = await inShell(
        "fish",
        ["--no-config", "-c", `source ${path}; complete -C ${JSON.stringify(line)}`],
        env,
      );
      return answers.map((answer) => answer.split("\t")[0]);
    };
    assert.deepEqual(await complete("sockeye st"), ["status"]);
    assert.ok((await complete("sockeye run --log-l")).includes("--log-level"));
    assert.deepEqual(await complete("sockeye run --log-level d"), ["debug"]);
    assert.deepEqual(await complete("sockeye test "), ["production", "staging"]);
    assert.deepEqual(await complete("sockeye flows --upstream p"), ["production"]);
    assert.ok((await complete("sockeye check my")).some((answer) => answer?.startsWith("my")));
    assert.deepEqual(await complete("sockeye explain "), []);
    assert.deepEqual(await complete("sockeye completion "), ["bash", "fish", "zsh"]);
  });

  it("completes in zsh", { skip: missing("zsh") }, async () => {
    const { env, script } = home();
    const path = await script("zsh");
    // zsh completes at a terminal only: zpty is one, within zsh itself.
    const complete = async (line: string) => {
      const code = `
        zmodload zsh/zpty
        zpty shell zsh -f -i
        zpty -w shell "PROMPT=; unsetopt zle_bracketed_paste; autoload -Uz compinit; compinit -D -u; source ${path}"
        zpty -w shell "zstyle ':completion:*' list-prompt; LISTMAX=0; null() { compstate[insert]=; compstate[list]='list force' }"
        zpty -w shell "compprefuncs=(null); compadd() { local -a found; builtin compadd -O found \\"\\$@\\"; print -rl -- '<<'\\$^found'>>'; builtin compadd \\"\\$@\\" }"
        zpty -w shell "print READY"
        zpty -r -m shell seen '*READY*READY*'
        zpty -w -n shell ${JSON.stringify(line)}$'\\t'
        local chunk all i
        for ((i = 0; i < 60; i++)); do
          while zpty -r -t shell chunk; do all+=$chunk; done
          [[ $all == *'>>'* ]] && ((i += 15))
          sleep 0.1
        done
        print -r -- $all
        zpty -d shell`;
      const text = (await inShell("zsh", ["-f", "-c", code], { ...env, TERM: "dumb" })).join("\n");
      return [...new Set([...text.matchAll(/<<([^\s<>]+)>>/g)].map((match) => match[1]!))];
    };
    assert.deepEqual(await complete("sockeye sta"), ["status"]);
    assert.deepEqual(await complete("sockeye run --log-level d"), ["debug"]);
    assert.deepEqual(await complete("sockeye test "), ["production", "staging"]);
  });
});
