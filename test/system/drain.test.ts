import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { startEcho, type TcpPeer } from "../peers/echo.ts";
import { freePort } from "../peers/peer-process.ts";
import { connectThrough } from "./client.ts";

const MAIN = join(import.meta.dirname, "../../cli/src/main.ts");

describe("a command that is told to stop", { skip: process.platform === "win32" && "has no SIGTERM" }, () => {
  let folder: string;
  let echo: TcpPeer;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "sockeye-drain-"));
    echo = await startEcho();
  });
  after(async () => {
    await echo.stop();
    await rm(folder, { recursive: true, force: true });
  });

  /** `sockeye run` with this drain_timeout, and a flow that it carries. */
  async function running(
    drainTimeout: number,
  ): Promise<{ child: ChildProcess; port: number; socket: Socket }> {
    const port = await freePort();
    const config = { listen: { socks5: `127.0.0.1:${port}` }, limits: { drain_timeout: drainTimeout } };
    const file = join(folder, "config.yaml");
    await writeFile(file, JSON.stringify(config));
    const env = { ...process.env, XDG_RUNTIME_DIR: folder, XDG_STATE_HOME: folder };
    const args = [MAIN, "run", "--config", file, "--log-format", "json"];
    const child = spawn(process.execPath, args, { env, stdio: ["ignore", "ignore", "pipe"] });
    await said(child, '"msg":"running"');
    const socket = await connectThrough("socks5", { host: "127.0.0.1", port }, echo);
    await assertEchoes(socket);
    return { child, port, socket };
  }

  it("takes no more in, lets what it carries come to its end, and ends with status 0", async () => {
    const { child, port, socket } = await running(60);
    const over = once(child, "exit");
    child.kill("SIGTERM");
    await said(child, "draining for at most 60 s");
    await assert.rejects(connectThrough("socks5", { host: "127.0.0.1", port }, echo), {
      code: "ECONNREFUSED",
    });
    await assertEchoes(socket);
    socket.end();
    assert.deepEqual(await over, [0, null]);
  });

  it("cuts what outlasts drain_timeout, and ends with status 0 all the same", async () => {
    const { child, socket } = await running(0.5);
    const over = once(child, "exit");
    const cut = new Promise<Error>((resolve) => socket.on("error", resolve).resume());
    child.kill("SIGTERM");
    assert.deepEqual(await over, [0, null]);
    assert.match((await cut).message, /ECONNRESET/);
  });
});

async function assertEchoes(socket: Socket): Promise<void> {
  socket.write("still here");
  const [answer] = (await once(socket.resume(), "data")) as [Buffer];
  assert.equal(String(answer), "still here");
}

/** Waits until the command has written these words to its log. */
async function said(child: ChildProcess, words: string): Promise<void> {
  let log = "";
  const heard = Promise.withResolvers<undefined>();
  const listen = (chunk: Buffer): void => {
    log += chunk.toString();
    if (log.includes(words)) heard.resolve(undefined);
  };
  child.stderr!.on("data", listen);
  child.once("exit", () => heard.reject(new Error(`it ended and never said ${words}: ${log}`)));
  await heard.promise;
  child.stderr!.off("data", listen);
}
