import assert from "node:assert/strict";
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { connectControl, findEngine, type ControlClient } from "@sockeye/engine/control/client";
import { reasonForNoBrowser } from "./browser.ts";

const MAIN = new URL("./main.ts", import.meta.url).pathname;
const root = mkdtempSync(join(tmpdir(), "sockeye-ui-"));
const children = new Set<ChildProcess>();
after(() => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(root, { recursive: true });
});

const built = existsSync(new URL("../../renderer/dist/index.html", import.meta.url));
const skip =
  (!built && !process.env["CI"] && "the interface is not built (node scripts/build-interface.mjs)") ||
  (process.platform !== "linux" && "its browser is a script that stands for xdg-open");

let homes = 0;
/** A machine with a display, and a browser that writes down what it was given and what it found there. */
function freshEnvironment(): { env: Record<string, string>; opened: string; runtime: string } {
  const home = join(root, String(++homes));
  const bin = join(home, "bin");
  mkdirSync(bin, { recursive: true });
  mkdirSync(join(home, "run"), { mode: 0o700 });
  const opened = join(home, "opened");
  writeFileSync(
    join(bin, "xdg-open"),
    `#!/bin/sh\necho "$1" > ${opened}.tmp\ncat "$1" >> ${opened}.tmp\nmv ${opened}.tmp ${opened}\n`,
  );
  chmodSync(join(bin, "xdg-open"), 0o755);
  symlinkSync(process.execPath, join(bin, "node"));
  const env = {
    PATH: `${bin}:${process.env["PATH"]!}`,
    HOME: home,
    TMPDIR: home,
    XDG_CONFIG_HOME: join(home, "config"),
    XDG_STATE_HOME: join(home, "state"),
    XDG_RUNTIME_DIR: join(home, "run"),
    DISPLAY: ":99",
  };
  return { env, opened, runtime: join(home, "run", "sockeye") };
}

interface Running {
  readonly child: ChildProcess;
  readonly out: () => string;
  readonly err: () => string;
}

function start(args: readonly string[], env: Record<string, string>): Running {
  const child = spawn(process.execPath, [MAIN, ...args], { env, stdio: ["ignore", "pipe", "pipe"] });
  children.add(child);
  child.on("exit", () => children.delete(child));
  let [out, err] = ["", ""];
  child.stdout.on("data", (chunk) => (out += String(chunk)));
  child.stderr.on("data", (chunk) => (err += String(chunk)));
  return { child, out: () => out, err: () => err };
}

async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  running?: Running,
): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!(await holds())) {
    assert.ok(
      Date.now() < deadline,
      `${what} is waited for: ${running?.out() ?? ""} ${running?.err() ?? ""}`,
    );
    await sleep(30);
  }
}

async function stop({ child }: Running): Promise<number | null> {
  const closed = once(child, "close");
  child.kill("SIGTERM");
  const [code] = (await closed) as [number | null];
  return code;
}

async function finish(running: Running): Promise<number | null> {
  const [code] = (await once(running.child, "close")) as [number | null];
  return code;
}

/** Follows what a browser would: the page on disk, then the address in it. */
async function follow(opened: string): Promise<{ path: string; address: string; page: Response }> {
  const [path = "", ...html] = readFileSync(opened, "utf8").split("\n");
  const address = /url=([^"]+)"/.exec(html.join("\n"))![1]!;
  return { path, address, page: await fetch(address) };
}

describe("the interface in a browser", { skip, concurrency: 2 }, () => {
  it("run --ui opens a page that leads there, and takes it away at the end", async () => {
    const { env, opened, runtime } = freshEnvironment();
    const running = start(["run", "--socks5", "127.0.0.1:0", "--ui"], env);
    await until("the browser", () => existsSync(opened), running);
    const { path, address, page } = await follow(opened);
    assert.equal(dirname(path), runtime);
    const { token } = findEngine({ directory: runtime });
    assert.ok(!path.includes(token), "what a list of processes shows holds no token");
    assert.match(address, new RegExp(`^http://127\\.0\\.0\\.1:\\d+/#token=${token}$`));
    assert.equal(page.status, 200);
    assert.match(await page.text(), /<title>Sockeye<\/title>/);
    assert.doesNotMatch(running.out() + running.err(), new RegExp(token), "a log holds no token");

    rmSync(opened);
    const again = start(["ui"], env);
    assert.equal(await finish(again), 0, again.err());
    assert.equal((await follow(opened)).address, address);
    const printed = start(["ui", "--print"], env);
    assert.equal(await finish(printed), 0);
    assert.equal(printed.out(), `The interface is at ${address}\n`);
    assert.equal(await stop(running), 0);
    assert.deepEqual(readdirSync(runtime), []);
  });

  it("says in a sentence where no browser can be opened, and goes on", async () => {
    const dark = freshEnvironment();
    const sentence = "no browser was opened: there is no display; sockeye ui --print";
    const headless = start(["run", "--socks5", "127.0.0.1:0", "--ui"], { ...dark.env, DISPLAY: "" });
    await until("the sentence", () => headless.err().includes(sentence), headless);
    assert.equal(existsSync(dark.opened), false);
    assert.equal(await stop(headless), 0);
    const { env } = freshEnvironment();
    writeFileSync(join(env["HOME"]!, "bin", "xdg-open"), "#!/bin/sh\nexit 3\n");
    const running = start(["run", "--socks5", "127.0.0.1:0", "--ui"], env);
    await until("the sentence", () => running.err().includes("xdg-open ended with status 3"), running);
    assert.deepEqual(
      readdirSync(join(env["XDG_RUNTIME_DIR"]!, "sockeye")).filter((name) => name.endsWith(".html")),
      [],
    );
    assert.equal(await stop(running), 0);
  });

  it("started by npm in the clone, names a command that prints the address there", async () => {
    const { env } = freshEnvironment();
    const byNpm = { ...env, DISPLAY: "", npm_lifecycle_event: "sockeye" };
    const running = start(["run", "--socks5", "127.0.0.1:0", "--ui"], byNpm);
    const hint = /; (npm run sockeye -- ui --print --engine \S+) prints its address/;
    await until("the sentence", () => hint.test(running.err()), running);
    const [program, ...args] = hint.exec(running.err())![1]!.split(" ");
    const { stdout } = await promisify(execFile)(program!, args, {
      env,
      cwd: new URL("../..", import.meta.url),
    });
    assert.match(stdout, /The interface is at http:\S+#token=\S+\n/);
    assert.equal(await stop(running), 0);
  });

  it("--ui=print prints the address and opens nothing", async () => {
    const { env, opened } = freshEnvironment();
    const running = start(["run", "--socks5", "127.0.0.1:0", "--ui=print"], env);
    await until("the address", () => /The interface is at http:\S+#token=\S+\n/.test(running.out()), running);
    assert.equal(existsSync(opened), false);
    assert.equal(await stop(running), 0);
  });

  it("ui says plainly where nothing runs, or what runs was started without the interface", async () => {
    const { env } = freshEnvironment();
    const nothing = start(["ui"], env);
    assert.equal(await finish(nothing), 4);
    assert.match(nothing.err(), /^sockeye: no engine is running/);
    const running = start(["run", "--socks5", "127.0.0.1:0", "--control-name", "plain"], env);
    const runtime = join(env["XDG_RUNTIME_DIR"]!, "sockeye");
    await until("the engine", () => existsSync(join(runtime, "plain.json")), running);
    const refused = start(["ui"], env);
    assert.equal(await finish(refused), 1);
    assert.match(
      refused.err(),
      /^sockeye: this engine was started without its interface.*sockeye run --ui\n$/,
    );
    assert.equal(await stop(running), 0);
  });

  it("the demo opens it, prints its lines, and has traffic through every upstream of its own", async () => {
    const { env, opened, runtime } = freshEnvironment();
    const running = start(["demo"], env);
    await until("the browser", () => existsSync(opened), running);
    assert.equal((await follow(opened)).page.status, 200);
    assert.equal(running.out().match(/^ {2}curl --proxy /gm)?.length, 4);
    assert.match(
      running.out(),
      /^ {2}curl http:\/\/demo\.localhost:\d+\/ {3}# a local service that is shared/m,
    );
    for (const [line] of running.out().matchAll(/^ {2}curl .*$/gm)) {
      const { stdout } = await promisify(execFile)("sh", [
        "-c",
        line.replace("curl ", "curl -sSf --max-time 20 "),
      ]);
      assert.match(stdout, /\S/, line);
    }
    const client: ControlClient = await connectControl(findEngine({ directory: runtime }));
    const carried = async (): Promise<string[]> => {
      const { flows } = await client.call("flows", { ended: true });
      return [...new Set(flows.filter(({ down }) => down > 0).map(({ upstream }) => upstream))].sort();
    };
    const all = ["bastion", "bastion-behind-proxy", "http-proxy", "socks-proxy"];
    await until("traffic", async () => JSON.stringify(await carried()) === JSON.stringify(all), running);
    const { text, problems } = await client.call("config.read", {});
    assert.match(text, /^# The demonstration/);
    assert.deepEqual(problems, []);
    client.close();
    assert.equal(await stop(running), 0);
    assert.deepEqual(
      readdirSync(env["TMPDIR"]!).filter((name) => name.startsWith("sockeye-")),
      [],
    );
  });
});

describe("whether a browser is tried", () => {
  it("is decided by the display, CI and where the person sits", () => {
    assert.equal(reasonForNoBrowser({ DISPLAY: ":0" }, "linux"), undefined);
    assert.equal(reasonForNoBrowser({ WAYLAND_DISPLAY: "wayland-0" }, "linux"), undefined);
    assert.equal(reasonForNoBrowser({}, "linux"), "there is no display");
    assert.equal(reasonForNoBrowser({ DISPLAY: ":0", CI: "1" }, "linux"), "CI is set");
    assert.equal(reasonForNoBrowser({ CI: "false" }, "darwin"), undefined);
    assert.equal(reasonForNoBrowser({ SSH_CONNECTION: "1" }, "darwin"), "this is a session over SSH");
    assert.equal(reasonForNoBrowser({}, "win32"), undefined);
  });
});
