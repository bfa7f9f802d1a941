import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { ShareSpec } from "@sockeye/engine/share/share";
import { Line } from "../peers/line.ts";
import {
  raw,
  startLocalHttp,
  startLocalTcp,
  startShare,
  startTestRelay,
  type TestRelay,
  until,
} from "../peers/relay.ts";

function get(relay: TestRelay, name: string, path = "/"): Promise<string> {
  return raw(
    relay.http!.port,
    `GET ${path} HTTP/1.1\r\nHost: ${name}.localhost\r\nConnection: close\r\n\r\n`,
  );
}

test("a cut link is mended by itself, and requests that come meanwhile are answered, not refused", async () => {
  await using relay = await startTestRelay();
  await using line = await Line.to(relay.control.port);
  await using local = await startLocalHttp((_request, response) => response.end("here"));
  await using share = await startShare(line.address, { kind: "http", name: "demo", target: local.target });
  assert.match(await get(relay, "demo"), /here$/);
  line.refusing = true;
  line.cut();
  await until(() => relay.counts().clients === 0, "the relay has noticed");
  const held = [get(relay, "demo"), get(relay, "demo")];
  await sleep(300);
  line.refusing = false;
  for (const answer of await Promise.all(held)) assert.match(answer, /here$/);
  assert.ok(share.told.some((line) => line.startsWith("disconnected")));
});

test("a request under way on a link that is cut is told so, and one that may be repeated is", async () => {
  await using relay = await startTestRelay();
  await using line = await Line.to(relay.control.port);
  let asked = 0;
  await using local = await startLocalHttp((_request, response) => {
    asked++;
    if (asked > 2) response.end("at last");
  });
  await using shares = new AsyncDisposableStack();
  shares.use(await startShare(line.address, { kind: "http", name: "demo", target: local.target }));
  const repeatable = get(relay, "demo");
  const once_ = raw(
    relay.http!.port,
    "POST / HTTP/1.1\r\nHost: demo.localhost\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx",
  );
  await until(() => asked === 2, "both are under way");
  line.cut();
  assert.match(await once_, /^HTTP\/1\.1 502 .*lost/s);
  assert.match(await repeatable, /at last$/);
});

test("a link that accepts and answers nothing is found out within seconds on both sides, and left", async () => {
  await using relay = await startTestRelay();
  await using line = await Line.to(relay.control.port);
  await using local = await startLocalHttp((_request, response) => response.end("here"));
  await using share = await startShare(line.address, { kind: "http", name: "demo", target: local.target });
  line.deaf = true;
  const began = performance.now();
  await until(() => relay.counts().clients === 0, "the relay gives the client up");
  await until(
    () => share.told.some((line) => line.includes("nothing was heard")),
    "the client gives the relay up",
  );
  assert.ok(performance.now() - began < 10_000);
  line.deaf = false;
  line.cut();
  await until(() => share.client.shares[0]!.addresses.length > 0, "the share is public again");
  assert.match(await get(relay, "demo"), /here$/);
});

test("one stream over a long round trip is carried far beyond the first window for each of them", async () => {
  await using relay = await startTestRelay();
  await using line = await Line.to(relay.control.port);
  line.delayMs = 25;
  const bytes = 12_000_000;
  await using local = await startLocalHttp((_request, response) => response.end(Buffer.alloc(bytes)));
  await using shares = new AsyncDisposableStack();
  shares.use(await startShare(line.address, { kind: "http", name: "demo", target: local.target }));
  const began = performance.now();
  const answer = await get(relay, "demo");
  const seconds = (performance.now() - began) / 1000;
  assert.ok(answer.length > bytes);
  // 64 KB for each round trip of 50 ms would be 1.3 MB/s.
  assert.ok(bytes / seconds > 4_000_000, `${Math.round(bytes / seconds / 1e6)} MB/s`);
});

test("a client that is killed leaves its name to the same credential at once, and to no other", async () => {
  await using relay = await startTestRelay();
  await using local = await startLocalHttp((_request, response) => response.end("here"));
  await using child = await startChildShare(relay, "http", "demo");
  assert.match(await get(relay, "demo"), /^HTTP\/1\.1 200 /);
  await assert.rejects(
    startShare(
      relay,
      { kind: "http", name: "demo", target: local.target },
      { token: "token-bob", observer: {} },
    ).then((share) => share.close()),
    /name-taken/,
  );
  await child.kill();
  const began = performance.now();
  await using shares = new AsyncDisposableStack();
  shares.use(await startShare(relay, { kind: "http", name: "demo", target: local.target }));
  assert.match(await get(relay, "demo"), /here$/);
  assert.ok(performance.now() - began < 5000);
});

test("a name is taken back from an older client of the same credential, which is told", async () => {
  await using relay = await startTestRelay();
  await using one = await startLocalHttp((_request, response) => response.end("one"));
  await using two = await startLocalHttp((_request, response) => response.end("two"));
  await using older = await startShare(relay, { kind: "http", name: "demo", target: one.target });
  await using shares = new AsyncDisposableStack();
  shares.use(await startShare(relay, { kind: "http", name: "demo", target: two.target }));
  await until(() => older.told.includes("unshared: name-taken"), "the older one is told");
  assert.match(await get(relay, "demo"), /two$/);
});

test("a revoked credential ends its client and every request, whatever the handshake said", async () => {
  await using relay = await startTestRelay();
  await using local = await startLocalHttp((_request, response) => response.end("here"));
  await using share = await startShare(relay, { kind: "http", name: "demo", target: local.target });
  relay.authoriser.revoked.add("ada");
  assert.match(await get(relay, "demo"), /^HTTP\/1\.1 503 .*not-authorised/s);
  relay.authoriser.revoke("ada");
  await until(() => relay.counts().clients === 0, "the client is sent away");
  assert.ok(share.told.some((line) => line.startsWith("disconnected")));
});

test("whoever is no client is let go in time, and told why where it speaks the protocol", async () => {
  await using relay = await startTestRelay({ limits: { handshake_timeout: "400ms" } });
  const { port } = relay.control;
  assert.equal(
    await raw(port, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").then((got) => got.includes("HTTP")),
    false,
  );
  const silent = await raw(port, "");
  assert.match(silent, /too long/);
  await assert.rejects(
    startShare(relay, { kind: "http", target: { host: "127.0.0.1", port: 1 } }, { token: "wrong" }).then(
      (s) => s.close(),
    ),
  );
  await until(() => relay.counts().clients === 0, "nobody came in");
});

test("a relay that is restarted under load loses what was under way on it and nothing else", async () => {
  await using local = await startLocalHttp((_request, response) => response.end("here"));
  await using first = await startTestRelay();
  const settings = {
    control: { address: `127.0.0.1:${first.control.port}` },
    public_http: { address: `127.0.0.1:${first.http!.port}` },
  };
  await using share = await startShare(first, { kind: "http", name: "demo", target: local.target });
  const counts = { answered: 0, refused: 0, cut: 0, unreachable: 0 };
  const odd: string[] = [];
  let over = false;
  await using ending = new AsyncDisposableStack();
  ending.defer(() => void (over = true));
  const load = Array.from({ length: 8 }, async () => {
    while (!over) {
      const answer = await get(first, "demo");
      if (answer.endsWith("here")) counts.answered++;
      else if (answer === "") counts.unreachable++;
      else if (answer.startsWith("HTTP/1.1 5")) {
        counts.refused++;
        odd.push(answer.slice(0, 400));
      } else {
        counts.cut++;
        odd.push(answer.slice(0, 60));
      }
      await sleep(5);
    }
  });
  await until(() => counts.answered > 100, "it runs");
  await first.stop(5000);
  await using second = await startTestRelay(settings);
  await until(() => share.client.connected && second.counts().clients === 1, "the client is back");
  const before = counts.answered;
  await until(() => counts.answered > before + 100, "it runs again");
  over = true;
  await Promise.all(load);
  // While nobody listens a connection is refused; but nothing that was accepted was left without its answer.
  assert.deepEqual([...odd], []);
  assert.equal(counts.refused, 0);
});

test("a draining relay answers what is under way and takes nothing new", async () => {
  await using relay = await startTestRelay();
  let answer = () => {};
  await using local = await startLocalHttp((_request, response) => (answer = () => response.end("here")));
  await using share = await startShare(relay, { kind: "http", name: "demo", target: local.target });
  const pending = get(relay, "demo");
  await until(() => relay.counts().streams === 1, "the request is under way");
  const stopped = relay.stop(10_000);
  assert.equal(relay.ready, false);
  assert.equal(await get(relay, "demo"), "");
  await until(() => share.told.some((line) => line.includes("about to stop")), "the client is told to move");
  answer();
  assert.match(await pending, /here$/);
  await stopped;
});

test("a raw port carries bytes both ways, with ends in one direction and resets as they are", async () => {
  await using relay = await startTestRelay();
  await using echo = await startLocalTcp((socket) => {
    let got = "";
    socket.on("data", (chunk: Buffer) => (got += chunk.toString()));
    socket.on("end", () => (got === "reset" ? socket.resetAndDestroy() : socket.end(`you said ${got}`)));
  });
  await using share = await startShare(relay, { kind: "tcp", target: echo.target });
  const port = Number(share.address.split(":").at(-1));
  const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  socket.end("hello");
  let got = "";
  for await (const chunk of socket) got += String(chunk);
  assert.equal(got, "you said hello");
  const other = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  other.end("reset");
  const [error] = (await once(other, "error")) as [NodeJS.ErrnoException];
  assert.equal(error.code, "ECONNRESET");
});

test("a raw port speaks first where its service does, and is reset where the service is down", async () => {
  await using relay = await startTestRelay();
  const service = await startLocalTcp((socket) => socket.end("SSH-2.0-test\r\n"));
  await using share = await startShare(relay, { kind: "tcp", target: service.target });
  const port = Number(share.address.split(":").at(-1));
  assert.equal(await raw(port, ""), "SSH-2.0-test\r\n");
  await service.stop();
  const socket = connect({ port, host: "127.0.0.1" });
  const [error] = (await once(socket, "error")) as [NodeJS.ErrnoException];
  assert.equal(error.code, "ECONNRESET");
  assert.ok(share.told.includes("local: refused"));
});

test("a port that another program holds is passed over where the relay chooses, and refused where it is asked for", async () => {
  await using held = new AsyncDisposableStack();
  const busy: number[] = [];
  for (let i = 0; i < 12; i++) busy.push(held.use(await startLocalTcp(() => {})).port);
  const spare = await startLocalTcp(() => {});
  await spare.stop();
  const ports = [...busy, spare.port].map((port) => `${port}-${port}`).join();
  await using relay = await startTestRelay({ tcp: { host: "127.0.0.1", ports }, names: { hold: 0 } });
  await using service = await startLocalTcp((socket) => socket.end("here"));
  const wish = { kind: "tcp", target: service.target } as const;
  await using share = await startShare(relay, wish);
  assert.equal(share.address, `localhost:${spare.port}`);
  assert.equal(await raw(spare.port, ""), "here");
  const refused = async (spec: ShareSpec) => startShare(relay, spec).then((unwanted) => unwanted.close());
  await assert.rejects(refused(wish), /unshared: none-free/);
  await assert.rejects(refused({ ...wish, port: busy[0] }), /unshared: unavailable/);
});

test("one client shares several services, and gives one back without the others", async () => {
  await using relay = await startTestRelay({ names: { hold: 0 } });
  await using one = await startLocalHttp((_request, response) => response.end("one"));
  await using two = await startLocalHttp((_request, response) => response.end("two"));
  await using share = await startShare(relay, { kind: "http", name: "one", target: one.target });
  const second = share.client.add({ kind: "http", name: "two", target: two.target });
  await until(() => second.addresses.length > 0, "the second is public");
  assert.match(await get(relay, "two"), /two$/);
  share.client.remove(second);
  await until(() => share.client.shares.length === 1, "it is given back");
  await until(() => relay.counts().streams <= 1, "its idle streams are gone");
  assert.match(await get(relay, "two"), /^HTTP\/1\.1 404 /);
  assert.match(await get(relay, "one"), /one$/);
});

test("several connections of one client carry its streams side by side, and the loss of one is mended", async () => {
  await using relay = await startTestRelay();
  await using line = await Line.to(relay.control.port);
  await using local = await startLocalHttp((_request, response) =>
    setTimeout(() => response.end("here"), 20),
  );
  await using shares = new AsyncDisposableStack();
  shares.use(
    await startShare(line.address, { kind: "http", name: "demo", target: local.target }, { links: 3 }),
  );
  await until(() => line.connections === 3, "three connections");
  const answers = await Promise.all(Array.from({ length: 30 }, () => get(relay, "demo")));
  for (const answer of answers) assert.match(answer, /here$/);
});

test("5,000 tunnels at once are carried over one connection", { timeout: 60_000 }, async () => {
  await using relay = await startTestRelay({
    limits: {
      connections_per_second_per_source: 0,
      connections_per_second_per_client: 0,
      max_connections_per_source: 10_000,
      connections_per_second: 0,
      requests_per_second_per_source: 0,
    },
  });
  // Each end of a tunnel is a descriptor, and one process may not have them all.
  await using share = await startChildShare(relay, "tcp");
  const port = Number(share.address.split(":").at(-1));
  const count = 5000;
  const sockets: Socket[] = [];
  let echoed = 0;
  for (let from = 0; from < count; from += 250) {
    for (let i = 0; i < 250; i++) {
      const socket = connect({ port, host: "127.0.0.1" });
      socket.on("error", () => {});
      socket.once("data", () => echoed++);
      socket.write("hello");
      sockets.push(socket);
    }
    await until(() => echoed === sockets.length, "all are answered");
  }
  assert.equal(relay.counts().streams, count);
  for (const socket of sockets) socket.destroy();
  await until(() => relay.counts().streams === 0, "all are gone");
});

/** A share in a process of its own, which can be killed. */
async function startChildShare(relay: TestRelay, ...args: string[]): Promise<ChildShare> {
  const program = join(import.meta.dirname, "../peers/share-process.ts");
  const child = spawn(process.execPath, [program, String(relay.control.port), ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const kill = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
  };
  // It ends without a word on standard output where its share is refused.
  let said = "";
  child.stdout.on("data", (chunk: Buffer) => (said += chunk.toString()));
  try {
    await until(() => said.includes("\n") || child.exitCode !== null, "the share is public");
    assert.notEqual(said, "", "the share was refused");
  } catch (error) {
    await kill();
    throw error;
  }
  return { address: said.trim(), kill, [Symbol.asyncDispose]: kill };
}

interface ChildShare extends AsyncDisposable {
  readonly address: string;
  kill(): Promise<void>;
}
