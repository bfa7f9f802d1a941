import assert from "node:assert/strict";
import { fork, spawnSync, type ChildProcess } from "node:child_process";
import { EventEmitter, once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import type { FromTest, ToTest } from "../../electron/test/utility-process.ts";
import type { ControlClient } from "../../engine/src/control/control-client.ts";
import type { ConfigProblem } from "../../engine/src/control/contract.ts";
import { connectPort, type Port } from "../../engine/src/control/message-port.ts";
import { until } from "../peers/exercise.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const BUILD_MS = 110_000;

/** A folder without the project around it: what is missing from a bundle is missed there. */
const folder = mkdtempSync(join(tmpdir(), "sockeye-bundles-"));
after(() => rmSync(folder, { recursive: true, force: true }));
const app = join(folder, "app");

/** The engine's process, run from its bundle. */
class BundledEngine {
  readonly #child: ChildProcess;
  readonly #said: { readonly kind: string; readonly problems?: readonly ConfigProblem[] }[] = [];
  readonly #ports: EventEmitter[] = [];

  constructor(configFile: string) {
    this.#child = fork(join(root, "electron/test/utility-process.ts"), [join(app, "engine-process.mjs")], {
      env: { ...process.env, XDG_RUNTIME_DIR: folder, XDG_STATE_HOME: folder },
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    });
    this.#child.on("message", ({ from, message }: ToTest) => {
      if (from !== "process") this.#ports[from]?.emit("message", { data: message });
      else this.#said.push(message as { kind: string });
    });
    // Electron tells a port when the process at its other end is gone.
    this.#child.on("exit", () => this.#ports.forEach((port) => port.emit("close")));
    void this.says("loaded").then(() => {
      this.tell({
        kind: "start",
        version: "1.2.3",
        configFile,
        history: join(folder, "history.db"),
        connected: false,
      });
    });
  }

  tell(message: unknown): void {
    this.#send({ to: "process", message });
  }

  async says(kind: string): Promise<{ readonly problems?: readonly ConfigProblem[] }> {
    const find = () => this.#said.find((each) => each.kind === kind);
    await until(() => find() !== undefined, `the engine's process to say "${kind}"`, 30_000);
    return find()!;
  }

  connect(): ControlClient {
    const events = new EventEmitter();
    const number = this.#ports.push(events) - 1;
    this.tell({ kind: "client" });
    const port: Port = {
      postMessage: (message) => this.#send({ to: number, message }),
      close: () => {},
      on: (type, listener) => events.on(type, listener),
    };
    return connectPort(port);
  }

  async end(): Promise<number | null> {
    const child = this.#child;
    if (child.exitCode === null && child.signalCode === null) {
      const exited = once(child, "exit");
      this.tell({ kind: "stop", now: true });
      await exited;
    }
    return child.exitCode;
  }

  #send(message: FromTest): void {
    this.#child.send(message, () => {});
  }
}

describe("the desktop app's bundles", () => {
  let engine: BundledEngine | undefined;
  before(
    () => {
      const build = spawnSync(process.execPath, [join(root, "scripts/build-desktop.mjs"), app], {
        encoding: "utf8",
        timeout: BUILD_MS,
      });
      assert.equal(build.status, 0, build.stderr);
    },
    { timeout: BUILD_MS },
  );
  afterEach(async () => {
    await engine?.end();
    engine = undefined;
  });

  it("the engine's process answers the contract, with its compiled code, and ends when it is told to", async () => {
    const configFile = join(folder, "new", "config.yaml");
    engine = new BundledEngine(configFile);
    await engine.says("running");
    engine.tell({ kind: "ping", id: 7 });
    await engine.says("pong");
    const client = engine.connect();
    const status = await client.call("status", {});
    assert.equal(status.version, "1.2.3");
    assert.deepEqual(status.connection, { state: "off" });
    const now = Date.now();
    const { series } = await client.call("metrics.history", { from: now - 60_000, to: now, points: 10 });
    assert.ok(Array.isArray(series), "the thread that keeps history answers");
    assert.match((await client.call("config.read", {})).text, /socks5: 127\.0\.0\.1:1080/);
    if (existsSync(join(root, "native/sshcrypto/build/Release/sshcrypto.node")))
      assert.equal(status.sshCrypto, "native");
    const support = client.call("secret.support", {});
    const { id } = (await engine.says("secret")) as { readonly id?: string };
    engine.tell({ kind: "secret", id, answer: { error: "this desktop has no keyring" } });
    assert.deepEqual(await support, { keychain: false, reason: "this desktop has no keyring" });
    engine.tell({ kind: "woke-up" });
    assert.equal(await engine.end(), 0);
    await client.closed;
  });

  it("a long configuration is read by the thread that is bundled beside it", async () => {
    const configFile = join(folder, "long.yaml");
    writeFileSync(configFile, `# ${"long ".repeat(40_000)}\ndefault: block\n`);
    engine = new BundledEngine(configFile);
    await engine.says("running");
    assert.equal((await engine.connect().call("status", {})).default, "block");
  });

  it("a wrong configuration is refused with every problem and its place", async () => {
    const configFile = join(folder, "wrong.yaml");
    writeFileSync(configFile, "default: nobody\nupstream: {}\n");
    engine = new BundledEngine(configFile);
    const { problems = [] } = await engine.says("refused");
    const places = problems.map(({ line, column }) => `${line}:${column}`);
    assert.deepEqual(places.sort(), ["1:10", "2:1"]);
  });

  it("every file of its own that the engine names is in the bundle", () => {
    for (const name of readdirSync(app).filter((each) => each.endsWith(".mjs"))) {
      const code = readFileSync(join(app, name), "utf8");
      assert.doesNotMatch(code, /new URL\("[^"]*\.ts"/, name);
      for (const [, path] of code.matchAll(/new URL\("(\.\/[^"]*\.mjs)"/g))
        assert.ok(existsSync(join(app, path!)), path);
    }
  });

  it("every compiled module that the engine names is where the bundle names it", () => {
    const code = readFileSync(join(app, "engine-process.mjs"), "utf8");
    const named = [...code.matchAll(/new URL\("(\.[^"]*native\/[^"]*)"/g)].map(([, path]) => path!);
    assert.ok(named.length >= 3);
    for (const path of named) {
      assert.match(path, /^\.\/native\//);
      if (existsSync(join(root, path)) && path.endsWith(".node"))
        assert.ok(existsSync(join(app, path)), path);
    }
  });

  /** What the main process did, against the stub of Electron. */
  function runMain(env: Record<string, string> = {}): Record<string, unknown> {
    const places = { SOCKEYE_TEST_USER_DATA: join(folder, "user"), XDG_CONFIG_HOME: folder };
    const main = spawnSync(
      process.execPath,
      ["--import", join(root, "electron/test/electron-hooks.ts"), join(app, "main.mjs")],
      { encoding: "utf8", cwd: folder, env: { ...process.env, ...places, ...env }, timeout: 60_000 },
    );
    assert.equal(main.status, 0, main.stderr);
    return JSON.parse(main.stdout) as Record<string, unknown>;
  }

  it("a second instance ends at once: it opens no window and starts no engine", () => {
    assert.deepEqual(runMain({ SOCKEYE_TEST_SECOND: "yes" }), {
      calls: ["enableSandbox", "setAppUserModelId", "quit", "gone"],
      windows: 0,
      engines: 0,
    });
  });

  it("a link that opens the app is kept until there is a page to show it", () => {
    const { linked } = runMain({ SOCKEYE_TEST_LINK: "sockeye://import?a" });
    assert.deepEqual(linked, [{ text: "sockeye://import?a" }]);
  });

  it("the main process starts, shows the interface that it carries, and asks for the engine", () => {
    const seen = runMain();
    assert.deepEqual(seen["calls"], ["enableSandbox", "setAppUserModelId"]);
    assert.equal(seen["url"], "sockeye-app://interface/index.html");
    assert.equal(seen["status"], 200);
    assert.equal(seen["guards"], 1, "every page is confined");
    assert.match(String(seen["page"]), /<script type="module"/);
    for (const part of ["preload", "engine"]) assert.ok(existsSync(String(seen[part])), part);
    assert.deepEqual(seen["menu"], ["Sockeye", "Bearbeiten", "Ansicht", "Fenster", "Hilfe"]);
  });

  it("the preload script needs nothing but Electron, and brings no library along", () => {
    const code = readFileSync(join(app, "preload.cjs"), "utf8");
    assert.deepEqual(
      [...code.matchAll(/require\("([^"]+)"\)/g)].map(([, name]) => name),
      ["electron/renderer"],
    );
    assert.ok(code.length < 8_192, `${code.length} bytes`);
  });
});
