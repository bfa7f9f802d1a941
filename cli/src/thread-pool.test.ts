import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";

const root = mkdtempSync(join(tmpdir(), "sockeye-threads-"));
after(() => rmSync(root, { recursive: true }));

/** The threads that look names up and read files in an engine that runs. */
async function poolSize(file: string, env: Record<string, string>): Promise<number> {
  const places = { HOME: root, XDG_CONFIG_HOME: root, XDG_STATE_HOME: root, XDG_RUNTIME_DIR: root };
  const args = [new URL(file, import.meta.url).pathname, "run", "--socks5", "127.0.0.1:0"];
  const child = spawn(process.execPath, [...args, "--log-format", "json"], {
    env: { PATH: process.env["PATH"]!, ...places, ...env },
    stdio: ["ignore", "ignore", "pipe"],
  });
  const closed = once(child, "close");
  try {
    let err = "";
    while (!err.includes('"msg":"running"')) {
      const [chunk] = (await Promise.race([once(child.stderr, "data"), closed])) as [unknown];
      assert.equal(child.exitCode, null, err);
      err += String(chunk);
    }
    const tasks = `/proc/${child.pid}/task`;
    const names = readdirSync(tasks).map((task) => readFileSync(join(tasks, task, "comm"), "utf8").trim());
    return names.filter((name) => name === "libuv-worker").length;
  } finally {
    child.kill("SIGKILL");
    await closed;
  }
}

const skip = process.platform === "linux" ? false : "threads can be counted by name in Linux's /proc alone";

describe("the command's thread pool", { skip }, () => {
  it("has 16 threads, however the command is started", async () => {
    assert.equal(await poolSize("main.ts", {}), 16);
    assert.equal(await poolSize("../bin/sockeye.mjs", {}), 16);
  });

  it("has as many threads as the environment says", async () => {
    assert.equal(await poolSize("main.ts", { UV_THREADPOOL_SIZE: "7" }), 7);
  });
});
