import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { type IncomingMessage, request as httpRequest } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { commandFor } from "../peers/keyed-relay.ts";
import { Line } from "../peers/line.ts";
import { lookupLoopback, raw, startLocalHttp, startShare, startTestRelay, until } from "../peers/relay.ts";

/** What is lost when something dies: what was under way on it, and nothing else. And what is large arrives whole. */

const folder = mkdtempSync(join(tmpdir(), "relay-losses-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const ask = (port: number, method: string, path = "/") =>
  raw(
    port,
    `${method} ${path} HTTP/1.1\r\nHost: demo.localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`,
  );

test("of several connections of one client, one or more may be lost: what was on them is, and the rest goes on", async () => {
  await using relay = await startTestRelay();
  await using line = await Line.to(relay.control.port);
  let answer: (() => void)[] = [];
  await using local = await startLocalHttp((_request, response) => {
    // No connection is kept for the next request, so that all are spread evenly.
    response.setHeader("Connection", "close");
    answer.push(() => response.end("here"));
  });
  await using share = await startShare(
    line.address,
    { kind: "http", name: "demo", target: local.target },
    { links: 3 },
  );
  const { port } = relay.http!;
  for (const [cut, method] of [
    [[1], "POST"],
    [[1, 2], "POST"],
    [[1, 2], "GET"],
  ] as const) {
    await until(() => line.connections === 3, "three connections");
    // A connection that has just come is welcome a moment later than it is made.
    await until(() => relay.counts().clients === 1 && share.client.connected, "it is there");
    await sleep(100);
    answer = [];
    const asked = Array.from({ length: 9 }, () => ask(port, method));
    await until(() => answer.length === 9, "all are under way, three on each");
    line.cut(cut);
    const repeated = method === "GET" ? 3 * cut.length : 0;
    await until(() => answer.length === 9 + repeated, "those that may be are sent again");
    for (const end of answer) end();
    const answers = await Promise.all(asked);
    const lost = answers.filter((got) => /^HTTP\/1\.1 502 .*lost/s.test(got)).length;
    assert.equal(lost, method === "GET" ? 0 : 3 * cut.length);
    assert.equal(answers.filter((got) => got.endsWith("here")).length, 9 - lost);
  }
});

test("a relay that is killed under load loses what was under way on it; the one that takes its place loses nothing", async () => {
  await using local = await startLocalHttp((_request, response) => setTimeout(() => response.end("here"), 5));
  const first = await startProgram({});
  await using share = await startShare(first, { kind: "http", name: "demo", target: local.target });
  const counts = { answered: 0, unreachable: 0, cut: 0, other: 0 };
  let over = false;
  const workers = 8;
  const load = Array.from({ length: workers }, async () => {
    while (!over) {
      const answer = await ask(first.http, "POST");
      if (answer.endsWith("here")) counts.answered++;
      else if (answer === "") counts.unreachable++;
      else counts.other++;
      await sleep(5);
    }
  });
  await until(() => counts.answered > 100, "it runs");
  assert.equal(counts.unreachable, 0);
  await kill(first.child);
  const second = await startProgram({
    "control.address": `127.0.0.1:${first.control.port}`,
    "public_http.address": `127.0.0.1:${first.http}`,
    "names.hold": "15s",
  });
  const failed = counts.unreachable;
  await until(() => share.told.filter((line) => line === "connected").length === 2, "the client is back");
  const before = counts.answered;
  await until(() => counts.answered > before + 100, "it runs again");
  over = true;
  await Promise.all(load);
  await kill(second.child);
  assert.equal(counts.other, 0, "nobody was told that there is no such name");
  assert.ok(counts.unreachable - failed <= workers, "what came after was answered");
});

test("a client that is killed is back under its name within seconds, and who asks meanwhile waits", async () => {
  await using relay = await startTestRelay({ names: { hold: "20s" } });
  const first = await startClient(relay.control.port);
  assert.match(await ask(relay.http!.port, "POST"), /^HTTP\/1\.1 200 /);
  await kill(first);
  await until(() => relay.counts().clients === 0, "the relay has noticed");
  const waiting = [1, 2, 3].map(() => ask(relay.http!.port, "POST"));
  const began = performance.now();
  const second = await startClient(relay.control.port);
  for (const answer of await Promise.all(waiting)) assert.match(answer, /^HTTP\/1\.1 200 /);
  assert.ok(performance.now() - began < 10_000);
  await kill(second);
});

test(
  "256 MB both ways at once, then 1 GB up and 1 GB down, arrive as they were sent",
  { timeout: 300_000 },
  async (t) => {
    await using relay = await startTestRelay();
    const block = randomBytes(1_048_576);
    const GB = 1024;
    await using local = await startLocalHttp((request, response) => {
      if (request.url === "/echo") return void request.pipe(response);
      if (request.url === "/up") {
        const hash = createHash("sha256");
        request.on("data", (chunk: Buffer) => hash.update(chunk));
        request.on("end", () => response.end(hash.digest("hex")));
        return;
      }
      response.setHeader("Content-Length", GB * block.length);
      let sent = 0;
      const more = () => {
        while (sent < GB && response.write(block)) sent++;
        if (sent === GB) response.end();
        else sent++;
      };
      response.on("drain", more);
      more();
    });
    await using share = await startShare(relay, { kind: "http", name: "demo", target: local.target });
    const hashOf = (blocks: number) => {
      const hash = createHash("sha256");
      for (let i = 0; i < blocks; i++) hash.update(block);
      return hash.digest("hex");
    };
    /** Sends so many blocks, and reads the answer. @returns its hash, or itself where it is one. */
    const exchange = async (path: string, blocks: number) => {
      const request = httpRequest(`${share.address}${path}`, {
        method: blocks === 0 ? "GET" : "POST",
        lookup: lookupLoopback,
        headers: blocks === 0 ? {} : { "Content-Length": blocks * block.length },
      });
      const answered = once(request, "response") as Promise<[IncomingMessage]>;
      const sending = (async () => {
        for (let i = 0; i < blocks; i++) if (!request.write(block)) await once(request, "drain");
        request.end();
      })();
      const [response] = await answered;
      const hash = createHash("sha256");
      let last = "";
      for await (const chunk of response) {
        hash.update(chunk as Buffer);
        last = path === "/up" ? last + String(chunk) : "";
      }
      await sending;
      return path === "/up" ? last : hash.digest("hex");
    };
    assert.equal(await exchange("/echo", 256), hashOf(256));
    const whole = hashOf(GB);
    // In processor seconds, of all four ends together: how long it takes depends on what else the machine does.
    for (const [path, blocks] of [
      ["/up", GB],
      ["/down", 0],
    ] as const) {
      const before = process.cpuUsage();
      assert.equal(await exchange(path, blocks), whole);
      const { user, system } = process.cpuUsage(before);
      const seconds = (user + system) / 1e6;
      t.diagnostic(`${path}: ${seconds.toFixed(1)} processor seconds`);
      assert.ok(seconds < 15, `${path}: ${seconds.toFixed(1)} processor seconds`);
    }
  },
);

/** A relay in a process of its own. */
async function startProgram(settings: Record<string, string>) {
  const { args } = commandFor(folder, "file", { "names.hold": "15s" }, settings);
  const program = join(import.meta.dirname, "../../cli/src/showoff/main.ts");
  const child = spawn(process.execPath, [program, "serve", ...args], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  after(() => kill(child));
  let said = "";
  child.stderr.on("data", (chunk: Buffer) => (said += chunk.toString()));
  const isReady = /^\{.*the relay is ready.*\}$/m;
  await until(() => isReady.test(said), "the relay is ready");
  const { control, http } = JSON.parse(isReady.exec(said)![0]) as {
    control: string;
    http: string;
  };
  const portOf = (address: string) => Number(address.split(":").at(-1));
  return { child, control: { host: "127.0.0.1", port: portOf(control) }, http: portOf(http) };
}

/** A client in a process of its own, which shares an echo as `demo`. */
async function startClient(control: number): Promise<ChildProcess> {
  const program = join(import.meta.dirname, "../peers/share-process.ts");
  const child = spawn(process.execPath, [program, String(control), "http", "demo"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  after(() => kill(child));
  await once(child.stdout, "data");
  return child;
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill("SIGKILL");
  await ended;
}
