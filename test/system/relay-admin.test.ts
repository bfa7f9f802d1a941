import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { request as httpsRequest } from "node:https";
import { type AddressInfo, connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { RelayConfig } from "@sockeye/relay/config/schema";
import { startConfiguredRelay } from "@sockeye/relay/configured";
import type { CertificateInForce, ServedEnd } from "@sockeye/relay/observer";
import { observing } from "@sockeye/relay/observers";
import type { Relay } from "@sockeye/relay/server";
import { makeCertificate } from "../peers/certificates.ts";
import { raw, startLocalHttp, startLocalTcp, startShare, until } from "../peers/relay.ts";
import { configuredBy, startRawClient, WAYS } from "../peers/relay-admin.ts";

interface Running extends AsyncDisposable {
  readonly relay: Relay;
  readonly ended: readonly ServedEnd[];
  readonly problems: readonly string[];
  readonly reloaded: readonly (CertificateInForce & { listener: string })[];
}

async function started(config: RelayConfig): Promise<Running> {
  const ended: ServedEnd[] = [];
  const problems: string[] = [];
  const reloaded: (CertificateInForce & { listener: string })[] = [];
  const observer = observing({
    requestEnded: (end) => ended.push(end),
    problem: (what, error) => problems.push(`${what}: ${error.message}`),
    certificatesReloaded: (listener, certificates) =>
      reloaded.push(...certificates.map((certificate) => ({ listener, ...certificate }))),
  });
  const relay = await startConfiguredRelay(config, observer);
  return { relay, ended, problems, reloaded, [Symbol.asyncDispose]: () => relay.stop(0) };
}

const right = { authorization: `Basic ${Buffer.from("root:correct horse").toString("base64")}` };

function ask(relay: Relay, path: string, headers: Record<string, string> = right): Promise<Response> {
  return fetch(`http://${relay.admin!.host}:${relay.admin!.port}${path}`, { headers });
}

async function metric(relay: Relay, series: string): Promise<number | undefined> {
  const line = (await (await ask(relay, "/metrics")).text())
    .split("\n")
    .find((each) => each.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.slice(series.length));
}

/** A GET on a connection of its own, as text. */
function get(relay: Relay, name: string, path = "/", headers = ""): Promise<string> {
  return raw(
    relay.http!.port,
    `GET ${path} HTTP/1.1\r\nHost: ${name}.localhost\r\nConnection: close\r\n${headers}\r\n`,
  );
}

describe("the admin side of a relay", () => {
  let folder: string;
  let credentials: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "showoff-admin-"));
    credentials = join(folder, "credentials");
    await writeFile(credentials, "root:correct horse\n");
  });
  after(() => rm(folder, { recursive: true }));

  for (const way of WAYS) {
    test(`admin.address, by ${way}: it listens there, or nowhere`, async () => {
      await using there = await started(await configuredBy(way, { "admin.address": "127.0.0.2:0" }));
      assert.equal(there.relay.admin!.host, "127.0.0.2");
      assert.equal((await ask(there.relay, "/healthz", {})).status, 200);
      assert.equal((await ask(there.relay, "/readyz", {})).status, 200);
      await using nowhere = await started(await configuredBy(way, { "admin.address": "off" }));
      assert.equal(nowhere.relay.admin, undefined);
    });

    test(`admin.credentials_file, by ${way}: they open what is closed without`, async () => {
      await using closed = await started(await configuredBy(way, {}));
      await using open = await started(await configuredBy(way, { "admin.credentials_file": credentials }));
      for (const path of ["/", "/live", "/version", "/metrics"]) {
        const refused = await ask(closed.relay, path);
        assert.equal(refused.status, 403);
        assert.match(await refused.text(), /admin\.credentials_file/);
        assert.equal((await ask(open.relay, path, {})).status, 401);
        assert.equal((await ask(open.relay, path)).status, 200);
      }
    });

    test(`admin.tls_cert and admin.tls_key, by ${way}: it speaks TLS, and nothing else`, async () => {
      const files = makeCertificate(folder, ["localhost"]);
      const keys = { "admin.tls_cert": files.certFile, "admin.tls_key": files.keyFile };
      await using running = await started(await configuredBy(way, keys));
      const { port } = running.relay.admin!;
      assert.equal(await statusByTls(port, "/healthz", files.caFile), 200);
      assert.doesNotMatch(await raw(port, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"), /200 OK/);
    });

    test(`profiling, by ${way}: profiles are there, and not without`, async () => {
      const closed = await configuredBy(way, { "admin.credentials_file": credentials });
      const open = await configuredBy(way, { "admin.credentials_file": credentials, profiling: "true" });
      await using without = await started(closed);
      await using running = await started(open);
      assert.equal((await ask(without.relay, "/profile/heap?seconds=0")).status, 404);
      assert.equal((await ask(running.relay, "/profile/heap?seconds=0", {})).status, 401);
      assert.equal((await ask(running.relay, "/profile/heap?seconds=0")).status, 400);
      await assert.rejects(configuredBy(way, { profiling: "true" }), /it needs admin.credentials_file/);
    });

    test(`limits.max_pending_per_client, by ${way}: so many wait to be taken up, and the next is refused`, async () => {
      const keys = { "limits.max_pending_per_client": "2", "admin.credentials_file": credentials };
      await using running = await started(await configuredBy(way, keys));
      const { relay, ended } = running;
      using client = await startRawClient(relay.control.port, { kind: "http", name: "demo" });
      const held = [get(relay, "demo", "/1"), get(relay, "demo", "/2")];
      await until(() => client.streams.length === 2, "two are asked for");
      assert.equal(relay.counts().pending, 2);
      assert.equal(await metric(relay, "showoff_pending_tunnels"), 2);
      const refused = await get(relay, "demo", "/3");
      assert.match(refused, /^HTTP\/1\.1 503 .*\r\nRetry-After: 1\r\n.*limits\.max_pending_per_client/s);
      assert.equal(ended.at(-1)!.limit, "limits.max_pending_per_client");
      const series = 'showoff_limit_refusals_total{limit="limits.max_pending_per_client"}';
      assert.equal(await metric(relay, series), 1);
      // Taken up, the two make room: it is not the answer that counts.
      for (const stream of client.streams) stream.takeUp!();
      await until(() => relay.counts().pending === 0, "both are taken up");
      const third = get(relay, "demo", "/4");
      await until(() => client.streams.length === 3, "a third is asked for");
      for (const stream of client.streams) stream.reset("refused");
      for (const answer of await Promise.all([...held, third])) assert.match(answer, /^HTTP\/1\.1 502 /);
      assert.equal(relay.counts().pending, 0);
    });

    test(`limits.pending_timeout, by ${way}: what is not taken up by then is given up`, async () => {
      const keys = { "limits.pending_timeout": "300ms" };
      await using running = await started(await configuredBy(way, keys));
      const { relay, ended } = running;
      using client = await startRawClient(relay.control.port, { kind: "http", name: "demo" });
      const answer = await get(relay, "demo");
      assert.match(answer, /^HTTP\/1\.1 504 .*X-Showoff-Error: not-taken\r\n/s);
      assert.ok(ended[0]!.ms >= 300, String(ended[0]!.ms));
      // One that is taken up has as long as the others for its answer.
      const slow = get(relay, "demo");
      await until(() => client.streams.length === 2, "a second is asked for");
      client.streams[1]!.takeUp!();
      await until(() => relay.counts().pending === 0, "it is taken up");
      await new Promise((resolve) => setTimeout(resolve, 700));
      client.streams[1]!.write(Buffer.from("HTTP/1.1 204 No Content\r\n\r\n"));
      assert.match(await slow, /^HTTP\/1\.1 204 /);
    });
  }

  test("TCP connections that nobody takes up are pending, refused beyond the limit, and given up in time", async () => {
    const keys = { "limits.max_pending_per_client": "1", "limits.pending_timeout": "500ms" };
    await using running = await started(await configuredBy("flag", keys));
    using client = await startRawClient(running.relay.control.port, { kind: "tcp" });
    const port = Number(client.addresses[0]!.split(":").at(-1));
    const sockets = [connect(port, "127.0.0.1").on("error", () => {})];
    await until(() => client.streams.length === 1, "the first is asked for");
    sockets.push(connect(port, "127.0.0.1").on("error", () => {}));
    await until(() => running.ended.length === 2, "both have ended");
    assert.deepEqual(
      running.ended.map(({ error, limit }) => [error, limit]),
      [
        ["limit", "limits.max_pending_per_client"],
        ["not-taken", undefined],
      ],
    );
    await until(() => sockets.every((socket) => socket.closed), "both are closed");
    assert.equal(running.relay.counts().pending, 0);
  });

  test("a client's own streams are taken up when the local service is reached, whoever speaks first", async () => {
    const keys = { "limits.pending_timeout": "300ms" };
    await using running = await started(await configuredBy("flag", keys));
    const { relay } = running;
    await using local = await startLocalTcp(() => {});
    await using share = await startShare(relay, { kind: "tcp", target: local.target });
    const socket = connect(Number(share.address.split(":").at(-1)), "127.0.0.1").on("error", () => {});
    await until(() => local.connections === 1 && relay.counts().pending === 0, "it is taken up");
    await new Promise((resolve) => setTimeout(resolve, 800));
    assert.equal(socket.readyState, "open");
    socket.destroy();
  });

  test("bytes of what lasts are counted as they flow, and once: of a TCP connection, an answer and an upgraded one", async () => {
    const keys = { "admin.credentials_file": credentials };
    await using running = await started(await configuredBy("flag", keys));
    const { relay, ended } = running;
    const sent = async () => {
      const text = await (await ask(relay, "/metrics")).text();
      return Number(
        /showoff_client_sent_bytes_total\{identity="(?!\(others)[^"]+"\} (\d+)/.exec(text)?.[1] ?? 0,
      );
    };
    await using raw = await startLocalTcp((socket) => socket.write("x".repeat(10_000)));
    await using web = await startLocalTcp((socket) =>
      socket.once("data", (head: Buffer) =>
        socket.write(
          head.includes("Upgrade")
            ? `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n${"y".repeat(30_000)}`
            : `HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n${"z".repeat(50_000)}`,
        ),
      ),
    );
    await using shares = new AsyncDisposableStack();
    const share = shares.use(await startShare(relay, { kind: "tcp", target: raw.target }));
    shares.use(await startShare(relay, { kind: "http", name: "demo", target: web.target }));
    const visit = (port: number, text: string) => {
      const socket = connect(port, "127.0.0.1").on("error", () => {});
      shares.defer(() => void socket.destroy());
      socket.resume().write(text);
      return socket;
    };
    const sockets = [visit(Number(share.address.split(":").at(-1)), "a")];
    const request = "GET / HTTP/1.1\r\nHost: demo.localhost\r\n";
    sockets.push(visit(relay.http!.port, `${request}Connection: Upgrade\r\nUpgrade: x\r\n\r\n`));
    sockets.push(visit(relay.http!.port, `${request}\r\n`));
    let seen = 0;
    const late = performance.now() + 15_000;
    while (seen < 90_000 && performance.now() < late) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      seen = await sent();
    }
    assert.ok(seen >= 90_000 && seen < 91_000, String(seen));
    assert.equal(ended.length, 0, "all three are under way");
    for (const socket of sockets) socket.resetAndDestroy();
    await until(() => ended.length === 3, "all have ended");
    const total = ended.reduce((sum, { bytesOut }) => sum + bytesOut, 0);
    assert.equal(await sent(), total, "none is counted twice");
  });

  test("what is served is counted: requests, bytes, errors by kind, and by client", async () => {
    const keys = { "admin.credentials_file": credentials, "names.hold": "0" };
    await using running = await started(await configuredBy("flag", keys));
    const { relay, ended } = running;
    await using local = await startLocalHttp((_request, response) => response.end("x".repeat(1000)));
    await using shares = new AsyncDisposableStack();
    shares.use(await startShare(relay, { kind: "http", name: "demo", target: local.target }));
    assert.match(await get(relay, "demo"), /x$/);
    assert.match(await get(relay, "nobody"), /^HTTP\/1\.1 404 /);
    await until(() => ended.length === 2, "both are counted");
    assert.equal(await metric(relay, "showoff_clients"), 1);
    assert.equal(await metric(relay, "showoff_tunnels"), 0);
    assert.equal(await metric(relay, "showoff_tunnel_duration_seconds_count"), 2);
    assert.equal(await metric(relay, 'showoff_errors_total{kind="unknown-name"}'), 1);
    const text = await (await ask(relay, "/metrics")).text();
    assert.match(text, /showoff_client_requests_total\{identity="[^"]+"\} 1\n/);
    assert.match(text, /showoff_client_sent_bytes_total\{identity="[^"]+"\} 1\d\d\d\n/);
  });

  test("readiness goes at once when the relay drains, and health stays until it has stopped", async () => {
    await using running = await started(await configuredBy("flag", {}));
    const { relay } = running;
    let asked = 0;
    await using local = await startLocalHttp((_request, response) => {
      asked++;
      setTimeout(() => response.end("late"), 1_000);
    });
    await using shares = new AsyncDisposableStack();
    shares.use(await startShare(relay, { kind: "http", name: "demo", target: local.target }));
    const answer = get(relay, "demo");
    await until(() => asked === 1, "a request is under way");
    const stopped = relay.stop(10_000);
    const ready = await ask(relay, "/readyz", {});
    assert.deepEqual([ready.status, await ready.text()], [503, "draining\n"]);
    assert.equal((await ask(relay, "/healthz", {})).status, 200);
    assert.match(await answer, /late$/);
    await stopped;
    await assert.rejects(ask(relay, "/healthz", {}));
  });

  test("an admin address that is taken stops the start, and leaves nothing open", async () => {
    await using first = await started(await configuredBy("flag", {}));
    const address = `127.0.0.1:${first.relay.admin!.port}`;
    await assert.rejects(
      (async () =>
        startConfiguredRelay(await configuredBy("flag", { "admin.address": address }), observing({})))(),
      { code: "EADDRINUSE" },
    );
  });

  test("a relay that can't start closes its admin listener again", async () => {
    await using first = await started(await configuredBy("flag", {}));
    const control = `127.0.0.1:${first.relay.control.port}`;
    const free = createServer().listen(0, "127.0.0.1");
    await once(free, "listening");
    const { port } = free.address() as AddressInfo;
    free.close();
    await once(free, "close");
    const keys = { "admin.address": `127.0.0.1:${port}`, "control.address": control };
    await assert.rejects(startConfiguredRelay(await configuredBy("flag", keys), observing({})), {
      code: "EADDRINUSE",
    });
    await assert.rejects(fetch(`http://127.0.0.1:${port}/healthz`));
  });

  test("no public name leads to the admin side, whatever Host and path are asked for", async () => {
    const keys = { "admin.credentials_file": credentials, "names.hold": "0" };
    await using running = await started(await configuredBy("flag", keys));
    const { relay } = running;
    const authorization = `Authorization: ${right.authorization}\r\n`;
    for (const name of ["admin", "metrics", "demo"])
      for (const path of ["/", "/metrics", "/healthz", "/profile/cpu"])
        assert.match(await get(relay, name, path, authorization), /^HTTP\/1\.1 404 .*unknown-name/s);
  });

  test("credentials are read again when their file changes; a wrong file changes nothing", async () => {
    const file = join(folder, "changing");
    await writeFile(file, "root:correct horse\n");
    await using running = await started(await configuredBy("flag", { "admin.credentials_file": file }));
    const { relay, problems } = running;
    await writeFile(file, "root\n");
    await until(() => problems.length > 0, "it is told that the file is wrong");
    assert.equal((await ask(relay, "/version")).status, 200);
    await writeFile(file, "root:battery staple\n");
    const other = { authorization: `Basic ${Buffer.from("root:battery staple").toString("base64")}` };
    const deadline = performance.now() + 15_000;
    while ((await ask(relay, "/version", other)).status !== 200) {
      assert.ok(performance.now() < deadline, "the new password is not in force");
      await new Promise((resolve) => setTimeout(resolve, 600));
    }
    assert.equal((await ask(relay, "/version")).status, 401);
  });

  test("a certificate that is read again is told of with its listener and its end, a wrong one with what stays", async () => {
    const files = makeCertificate(folder, ["one.example"]);
    const keys = { "admin.tls_cert": files.certFile, "admin.tls_key": files.keyFile };
    await using running = await started(await configuredBy("flag", keys));
    const { relay, problems, reloaded } = running;
    makeCertificate(folder, ["two.example"]);
    await until(() => reloaded.length > 0, "it is told of");
    const { listener, file, names, validUntil } = reloaded.at(-1)!;
    assert.deepEqual([listener, file, names], ["admin", files.certFile, ["two.example"]]);
    assert.ok(validUntil.getTime() > Date.now());
    const before = problems.length;
    await writeFile(files.certFile, "nothing");
    await until(() => problems.length > before, "it is told of, too");
    assert.match(problems.at(-1)!, /^the certificates of admin: .*server\.pem.*stay$/);
    assert.equal(await statusByTls(relay.admin!.port, "/healthz", files.caFile, "two.example"), 200);
  });
});

/** The status of a GET over TLS, checked against the authority in `caFile`. */
function statusByTls(port: number, path: string, caFile: string, servername = "localhost"): Promise<number> {
  const ca = readFileSync(caFile);
  return new Promise((resolve, reject) => {
    const options = { host: "127.0.0.1", port, path, ca, servername, agent: false };
    httpsRequest(options, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    })
      .on("error", reject)
      .end();
  });
}
