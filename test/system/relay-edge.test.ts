import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Duplex } from "node:stream";
import { after, test } from "node:test";
import { connect as connectTls } from "node:tls";
import { promisify } from "node:util";
import { ProxyHeaderReader, writeProxyHeader } from "@sockeye/wire/proxy-protocol";
import { makeCertificate } from "../peers/certificates.ts";
import { startProxy } from "../peers/proxy.ts";
import { raw, startLocalHttp, startLocalTcp, startShare, startTestRelay, until } from "../peers/relay.ts";

/** Who makes a connection, as it is before the relay reads a byte: the PROXY protocol, TLS, limits. */

const run = promisify(execFile);
const folder = mkdtempSync(join(tmpdir(), "relay-edge-"));
after(() => rmSync(folder, { recursive: true, force: true }));
const certificate = makeCertificate(folder, ["demo.localhost", "localhost", "IP:127.0.0.1"]);
const tls = { tls_cert: certificate.certFile, tls_key: certificate.keyFile };

const PROXY = { trusted_proxies: "127.0.0.1" };
const SOURCE = { host: "203.0.113.7", port: 4711 };
const OUTSIDE = { host: "198.51.100.1", port: 443 };
const header = (version: "v1" | "v2") => writeProxyHeader(version, SOURCE, OUTSIDE).toString("latin1");
const get = "GET / HTTP/1.1\r\nHost: demo.localhost\r\nConnection: close\r\n\r\n";
const seen = (answer: string) =>
  JSON.parse(answer.slice(answer.indexOf("\r\n\r\n{") + 4)) as Record<string, string>;

/** A local service that answers with the headers that it got. */
const startMirror = () =>
  startLocalHttp((request, response) => {
    const body = JSON.stringify(request.headers);
    response.setHeader("Content-Length", body.length);
    response.end(body);
  });

test("a request's source is the one that a trusted proxy tells, by either version, and limits and logs go by it", async () => {
  await using relay = await startTestRelay({
    ...PROXY,
    public_http: { address: "127.0.0.1:0", proxy_protocol: "any" },
    limits: { max_connections_per_source: 1 },
  });
  await using local = await startMirror();
  await using shares = new AsyncDisposableStack();
  shares.use(await startShare(relay, { kind: "http", name: "demo", target: local.target }));
  const { port } = relay.http!;
  for (const version of ["v1", "v2"] as const) {
    const answer = await raw(port, header(version) + get);
    assert.equal(seen(answer)["x-forwarded-for"], SOURCE.host);
    assert.equal(relay.ended.at(-1)!.source, SOURCE.host);
  }
  const spoofed = await raw(
    port,
    header("v1") + get.replace("\r\n\r\n", "\r\nX-Forwarded-For: 9.9.9.9\r\n\r\n"),
  );
  assert.equal(
    seen(spoofed)["x-forwarded-for"],
    SOURCE.host,
    "the proxy is trusted, whom it speaks for is not",
  );
  await until(() => relay.counts().publicConnections === 0, "they are gone");
  const holding = connect({ port, host: "127.0.0.1" });
  holding.on("error", () => {});
  holding.write(header("v2"), "latin1");
  await until(() => relay.counts().publicConnections === 1, "one is held");
  assert.equal(await raw(port, header("v2") + get), "", "one connection for this source");
  const other = writeProxyHeader("v1", { host: "2001:db8::9", port: 1 }, { host: "2001:db8::1", port: 80 });
  assert.equal(seen(await raw(port, other.toString() + get))["x-forwarded-for"], "2001:db8::9");
  holding.destroy();
  assert.deepEqual(relay.refusals, [`http ${SOURCE.host}: limits.max_connections_per_source`]);
});

test("a header in pieces, with TLVs, of no address or of the proxy itself is read as what it is", async () => {
  await using relay = await startTestRelay({
    ...PROXY,
    public_http: { address: "127.0.0.1:0", proxy_protocol: "any" },
  });
  await using local = await startMirror();
  await using shares = new AsyncDisposableStack();
  shares.use(await startShare(relay, { kind: "http", name: "demo", target: local.target }));
  const { port } = relay.http!;
  const withTlvs = Buffer.from(header("v2"), "latin1");
  withTlvs.writeUInt16BE(12 + 7, 14);
  const told = `${withTlvs.toString("latin1")}\x03\x00\x04abcd`;
  assert.equal(seen(await raw(port, told + get))["x-forwarded-for"], SOURCE.host);
  const local2 = `${header("v2").slice(0, 12)}\x20\x00\x00\x00`;
  for (const own of ["PROXY UNKNOWN\r\n", local2])
    assert.equal(seen(await raw(port, own + get))["x-forwarded-for"], "127.0.0.1");
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  let got = "";
  socket.on("data", (chunk: Buffer) => (got += chunk.toString()));
  for (const byte of header("v1") + get) {
    socket.write(byte);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await until(() => got.endsWith("}"), "the answer");
  assert.equal(seen(got)["x-forwarded-for"], SOURCE.host);
  socket.destroy();
});

test("a connection without the header, with a wrong one, in another version, or too slow is refused with a line", async () => {
  await using relay = await startTestRelay({
    ...PROXY,
    public_http: { address: "127.0.0.1:0", proxy_protocol: "v2" },
    limits: { head_timeout: "300ms" },
  });
  const { port } = relay.http!;
  const long = `${header("v2").slice(0, 12)}\x21\x11\xff\xff`;
  for (const bytes of [get, header("v1") + get, long, header("v2").slice(0, 20)])
    assert.equal(await raw(port, bytes), "");
  const half = connect({ port, host: "127.0.0.1" });
  half.on("error", () => {});
  half.end(header("v2").slice(0, 5));
  await until(() => relay.refusals.length === 5, "each has its line");
  assert.deepEqual(relay.refusals, [
    "http 127.0.0.1: the connection does not begin with v2",
    "http 127.0.0.1: the connection does not begin with v2",
    "http 127.0.0.1: the PROXY header has 65551 bytes, more than 4096",
    "http 127.0.0.1: its PROXY header did not come in time",
    "http 127.0.0.1: it ended before its PROXY header",
  ]);
  assert.equal(relay.counts().publicConnections, 0);
});

test("nobody but a trusted proxy is let in where the PROXY protocol is asked for, whatever they send", async () => {
  await using relay = await startTestRelay({
    trusted_proxies: "10.0.0.0/8",
    public_http: { address: "127.0.0.1:0", proxy_protocol: "any" },
  });
  for (const bytes of [header("v1") + get, header("v2") + get, get])
    assert.equal(await raw(relay.http!.port, bytes), "");
  assert.deepEqual(relay.refusals, new Array(3).fill("http 127.0.0.1: it is no trusted proxy"));
});

test("where it is not asked for, a PROXY header is no more than a request that can't be read", async () => {
  await using relay = await startTestRelay(PROXY);
  for (const version of ["v1", "v2"] as const)
    assert.match(await raw(relay.http!.port, header(version) + get), /^HTTP\/1\.1 (400|505) /);
});

test("a PROXY header goes before the TLS handshake, also in one packet with it", async () => {
  await using relay = await startTestRelay({
    ...PROXY,
    public_https: { address: "127.0.0.1:0", proxy_protocol: "v2", ...tls },
  });
  await using local = await startMirror();
  await using shares = new AsyncDisposableStack();
  shares.use(await startShare(relay, { kind: "http", name: "demo", target: local.target }));
  const { port } = relay.https!;
  const ca = readFileSync(certificate.caFile);
  for (const together of [true, false]) {
    const plain = connect({ port, host: "127.0.0.1", noDelay: true });
    const socket = connectTls({ socket: afterHeader(plain, together), ca, servername: "demo.localhost" });
    let got = "";
    socket.on("data", (chunk: Buffer) => (got += chunk.toString()));
    socket.write(get);
    await until(() => got.endsWith("}"), "the answer");
    assert.equal(seen(got)["x-forwarded-for"], SOURCE.host);
    assert.equal(seen(got)["x-forwarded-proto"], "https");
    socket.destroy();
  }
  await until(() => relay.counts().publicConnections === 0, "they are gone");
});

test("clients come through a proxy too, by the control and the data listener, and a raw port knows its callers", async () => {
  await using relay = await startTestRelay({
    ...PROXY,
    control: { address: "127.0.0.1:0", proxy_protocol: "v1" },
    data: { address: "127.0.0.1:0", proxy_protocol: "v2" },
    tcp: { host: "127.0.0.1", ports: "20000-30000", proxy_protocol: "any" },
    proxy_protocol_out: "v1",
  });
  await using control = await startProxy(relay.control.port, writeProxyHeader("v1", SOURCE, OUTSIDE));
  const heard: string[] = [];
  await using local = await startLocalTcp((socket) =>
    socket.on("data", (chunk) => heard.push(String(chunk))),
  );
  await using share = await startShare(
    { control: { host: "127.0.0.1", port: control.port } },
    { kind: "tcp", target: local.target },
  );
  assert.equal(relay.connected[0], SOURCE.host);
  const port = Number(share.address.split(":").at(-1));
  const socket = connect({ port, host: "127.0.0.1" });
  socket.write(`${header("v2")}hello`, "latin1");
  await until(() => heard.join("").endsWith("hello"), "it came");
  assert.equal(heard.join(""), `${header("v1")}hello`);
  socket.destroy();
});

test("a local service is told the source of each connection to its raw port, in either version", async () => {
  for (const version of ["v1", "v2"] as const) {
    await using relay = await startTestRelay({ proxy_protocol_out: version });
    const heard: Buffer[] = [];
    await using local = await startLocalTcp((socket) => {
      socket.on("data", (chunk: Buffer) => heard.push(chunk));
      socket.write("welcome");
    });
    await using share = await startShare(relay, { kind: "tcp", target: local.target });
    const port = Number(share.address.split(":").at(-1));
    const socket = connect({ port, host: "127.0.0.1" });
    socket.write("hello");
    await until(() => Buffer.concat(heard).includes("hello"), "it came");
    const told = new ProxyHeaderReader(version).push(Buffer.concat(heard))!;
    assert.deepEqual(told.header, {
      kind: "proxied",
      version,
      transport: "tcp",
      source: { host: "127.0.0.1", port: socket.localPort },
      destination: { host: "127.0.0.1", port },
    });
    assert.equal(told.rest.toString(), "hello");
    socket.destroy();
  }
});

test("handshakes that come to nothing have a limit, whether they are in TLS or before it", async () => {
  await using relay = await startTestRelay({
    control: { address: "127.0.0.1:0", ...tls },
    public_https: { address: "127.0.0.1:0", ...tls },
    names: { hold: 0 },
    limits: { max_handshakes: 12, max_connections_per_source: 3, handshake_timeout: "500ms" },
  });
  const limited = () => relay.refusals.filter((line) => line.includes("limits.")).length;
  for (const [port, room] of [
    [relay.control.port, 3],
    [relay.https!.port, 3],
  ] as const) {
    const before = limited();
    const sockets = Array.from({ length: room + 2 }, () => connect({ port, host: "127.0.0.1" }));
    for (const socket of sockets) socket.on("error", () => {});
    await until(() => limited() === before + 2, "two are refused, without a byte from them");
    await until(() => sockets.every((socket) => socket.closed), "the others have had their time");
  }
  assert.deepEqual(
    new Set(relay.refusals),
    new Set([
      "control 127.0.0.1: limits.max_handshakes",
      // Of clients it is told why; the public may break off as it likes.
      "control 127.0.0.1: TLS handshake timeout",
      "https 127.0.0.1: limits.max_connections_per_source",
    ]),
  );
  const got = await run("curl", [
    "-sS",
    "--cacert",
    certificate.caFile,
    `https://demo.localhost:${relay.https!.port}/`,
  ]);
  assert.match(got.stdout, /"away"|"unknown-name"/);
});

/** A way to write to `socket` behind a PROXY header, which leaves in one packet with the first bytes, or before them. */
function afterHeader(socket: Socket, together: boolean): Duplex {
  let first = Buffer.from(header("v2"), "latin1");
  if (!together) {
    socket.write(first);
    first = Buffer.alloc(0);
  }
  const way = new Duplex({
    read: () => socket.resume(),
    write: (chunk: Buffer, _encoding, done) => {
      socket.write(Buffer.concat([first, chunk]), done);
      first = Buffer.alloc(0);
    },
    destroy: (error, done) => {
      socket.destroy();
      done(error);
    },
  });
  socket.on("data", (chunk) => way.push(chunk));
  socket.on("error", () => {});
  return way;
}
