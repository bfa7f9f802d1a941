import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "../peers/peer-process.ts";
import { connectThrough } from "./client.ts";

const MAIN = join(import.meta.dirname, "../../cli/src/main.ts");
const WANTED = 10_000;
/** A flow takes two descriptors of the engine's; some are its own. */
const FLOWS = Math.min(WANTED, Math.floor((descriptorLimit() - 200) / 2));
/** As many flows at once are being opened. */
const BATCH = 200;

const folder = mkdtempSync(join(tmpdir(), "sockeye-capacity-"));
const children: ChildProcess[] = [];
afterEach(async () => {
  const ends = children.splice(0).map(async (child) => {
    if (child.exitCode !== null) return;
    child.kill("SIGKILL");
    await once(child, "exit");
  });
  await Promise.all(ends);
});
after(() => rmSync(folder, { recursive: true, force: true }));

describe(
  "many flows",
  { skip: process.platform !== "linux" && "reads the engine's memory from /proc" },
  () => {
    it(`${FLOWS} at once through two engines: each answered, then none left and the memory back`, async () => {
      const echoPort = await startEchoProcess();
      const far = await startEngineProcess("far", {});
      const near = await startEngineProcess("near", {
        upstreams: { far: { type: "socks5", address: `127.0.0.1:${far.port}` } },
        default: "far",
      });
      const inbound = { host: "127.0.0.1", port: near.port };
      const echo = { host: "127.0.0.1", port: echoPort };
      // The first thousand pay for what is made once: compiled code, a grown heap.
      await closeAll(await open(inbound, echo, 1000));
      await settled(near);
      const before = rssOf(near.child);

      const sockets = await open(inbound, echo, FLOWS);
      assert.equal((await flowsOf(near)).active, FLOWS);
      const perFlow = (rssOf(near.child) - before) / FLOWS;
      await Promise.all(sockets.map((socket, i) => says(socket, `flow ${i}`)));
      await closeAll(sockets);
      await settled(near);
      await settled(far);
      const { failed } = await flowsOf(near);
      assert.equal(failed, 0);
      // 20 KB is what a flow may cost; the rest of the bound is for what a collector does not give back at once.
      assert.ok(perFlow < 20_000, `an idle flow takes ${Math.round(perFlow)} bytes`);
      const again = await open(inbound, echo, FLOWS);
      const second = rssOf(near.child) - before;
      await closeAll(again);
      assert.ok(
        second < FLOWS * 20_000 * 1.5,
        `${Math.round(second / 1e6)} MB the second time: memory does not come back`,
      );
    });

    it("descriptors run out: a clear refusal for who comes then, and all as before when they are back", async () => {
      const echoPort = await startEchoProcess();
      const engine = await startEngineProcess("small", {}, 120);
      const inbound = { host: "127.0.0.1", port: engine.port };
      const echo = { host: "127.0.0.1", port: echoPort };
      // A few at a time: were all accepted at once, none would have a descriptor left for its dial.
      const attempts: PromiseSettledResult<Socket>[] = [];
      while (attempts.length < 150) {
        const batch = Array.from({ length: 5 }, () => connectThrough("socks5", inbound, echo));
        attempts.push(...(await Promise.allSettled(batch)));
      }
      const opened = attempts.flatMap((attempt) => (attempt.status === "fulfilled" ? [attempt.value] : []));
      assert.ok(opened.length > 0 && opened.length < 150, `${opened.length} of 150 were opened`);
      await Promise.all(opened.map((socket, i) => says(socket, `still ${i}`)));
      await closeAll(opened);
      await settled(engine);
      await closeAll(await open(inbound, echo, 20));
      assert.equal(engine.child.exitCode, null);
    });
  },
);

interface EngineProcess {
  readonly child: ChildProcess;
  readonly port: number;
  readonly env: NodeJS.ProcessEnv;
}

/** `sockeye run` as a person starts it; `descriptors` lowers its limit on open files. */
async function startEngineProcess(
  name: string,
  config: object,
  descriptors?: number,
): Promise<EngineProcess> {
  const port = await freePort();
  const file = join(folder, `${name}.yaml`);
  const listen = { socks5: `127.0.0.1:${port}` };
  writeFileSync(
    file,
    JSON.stringify({ listen, limits: { max_connections: 50_000 }, log: { level: "error" }, ...config }),
  );
  const env = { ...process.env, XDG_RUNTIME_DIR: join(folder, name), XDG_STATE_HOME: join(folder, name) };
  const command = [process.execPath, MAIN, "run", "--config", file];
  const limited = descriptors === undefined ? "" : `ulimit -n ${descriptors}; `;
  const child = spawn("sh", ["-c", `${limited}exec "$@"`, "sh", ...command], { env, stdio: "ignore" });
  children.push(child);
  const engine = { child, port, env };
  for (let tries = 0; !(await answers(engine)); tries++) {
    assert.ok(tries < 200 && child.exitCode === null, "the engine did not start");
    await sleep(50);
  }
  return engine;
}

async function answers(engine: EngineProcess): Promise<boolean> {
  try {
    const socket = await connectThrough(
      "socks5",
      { host: "127.0.0.1", port: engine.port },
      { host: "127.0.0.1", port: 1 },
    );
    socket.destroy();
    return true;
  } catch (error) {
    return error instanceof Error && error.name === "Refused";
  }
}

async function startEchoProcess(): Promise<number> {
  const child = spawn(process.execPath, [join(import.meta.dirname, "../peers/echo-process.ts")], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  children.push(child);
  const [line] = (await once(child.stdout, "data")) as [Buffer];
  return Number(line.toString());
}

async function open(
  inbound: Parameters<typeof connectThrough>[1],
  target: typeof inbound,
  count: number,
): Promise<Socket[]> {
  const sockets: Socket[] = [];
  while (sockets.length < count) {
    const batch = Math.min(BATCH, count - sockets.length);
    const opening = Array.from({ length: batch }, () => connectThrough("socks5", inbound, target));
    sockets.push(...(await Promise.all(opening)));
  }
  return sockets;
}

async function says(socket: Socket, words: string): Promise<void> {
  socket.write(words);
  const [answer] = (await once(socket, "data")) as [Buffer];
  assert.equal(answer.toString(), words);
}

async function closeAll(sockets: readonly Socket[]): Promise<void> {
  await Promise.all(
    sockets.map(async (socket) => {
      socket.destroy();
      if (!socket.closed) await once(socket, "close");
    }),
  );
}

async function settled(engine: EngineProcess): Promise<void> {
  for (let tries = 0; (await flowsOf(engine)).active > 0; tries++) {
    assert.ok(tries < 100, "flows are left");
    await sleep(100);
  }
}

/** What `sockeye status` says of the engine's flows. */
async function flowsOf(engine: EngineProcess): Promise<{ active: number; failed: number }> {
  const status = spawn(process.execPath, [MAIN, "status", "--json"], {
    env: engine.env,
    stdio: ["ignore", "pipe", "inherit"],
  });
  let json = "";
  for await (const chunk of status.stdout) json += String(chunk);
  const answer = JSON.parse(json) as { flows: { active: number; failed: number } };
  // The look whether it listens is a dial of its own, which fails on purpose.
  return { active: answer.flows.active, failed: answer.flows.failed - 1 };
}

function rssOf(child: ChildProcess): number {
  const line = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${child.pid}/status`, "utf8"));
  return Number(line![1]) * 1024;
}

function descriptorLimit(): number {
  const { stdout } = spawnSync("sh", ["-c", "ulimit -n"], { encoding: "utf8" });
  const limit = stdout.trim();
  return limit === "unlimited" ? Infinity : Number(limit);
}
