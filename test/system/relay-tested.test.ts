import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { createServer as createTlsServer } from "node:tls";
import type { RelayConfig, Secret } from "@sockeye/engine/config/config";
import { DialError } from "@sockeye/engine/errors";
import { testRelay } from "@sockeye/engine/share/test-relay";
import { makeCertificate } from "../peers/certificates.ts";
import { startLocalHttp, startTestRelay, until } from "../peers/relay.ts";

/** What a person is told who tests a relay before it is saved: the step that fails, and why. */

const folder = await mkdtemp(join(tmpdir(), "relay-tested-"));
after(() => rm(folder, { recursive: true }));
const { certFile, keyFile, caFile } = makeCertificate(folder, ["localhost"]);

function tested(address: string, more: Partial<RelayConfig> = {}, ms = 10_000) {
  const config: RelayConfig = { address, tls: false, links: 1, one_connection_per_tunnel: false, ...more };
  const read = async (secret: Secret) => {
    if ("text" in secret) return secret.text;
    throw new Error("the token's file /nowhere can't be read: it does not exist");
  };
  const abort = new AbortController();
  const late = setTimeout(() => abort.abort(new DialError("timeout", "no success in time")), ms);
  const began: string[] = [];
  const onStep = (step: string) => began.push(step);
  return testRelay(config, read, { signal: abort.signal, onStep })
    .then(({ ok, steps, failure }) => ({ ok, began, passed: steps.map(({ step }) => step), failure }))
    .finally(() => clearTimeout(late));
}

const failsAt = async (given: ReturnType<typeof tested>, step: string, code: string, message: RegExp) => {
  const { ok, failure } = await given;
  assert.deepEqual([ok, failure?.step, failure?.code], [false, step, code], JSON.stringify(failure));
  assert.match(failure!.message, message);
};

test("a relay that lets the token in is passed step by step, in clear and by TLS, and the test leaves it again", async () => {
  const token = { text: "token-ada" };
  await using plain = await startTestRelay();
  const inClear = await tested(`127.0.0.1:${plain.control.port}`, { token });
  assert.deepEqual([inClear.ok, inClear.passed], [true, ["tcp", "handshake", "auth"]]);
  assert.deepEqual(inClear.began, inClear.passed);
  await until(() => plain.counts().clients === 0, "it has gone again");
  await using secure = await startTestRelay({
    control: { address: "127.0.0.1:0", tls_cert: certFile, tls_key: keyFile },
  });
  const tls = { token, tls: true, tls_ca_file: caFile };
  const byTls = await tested(`localhost:${secure.control.port}`, tls);
  assert.deepEqual([byTls.ok, byTls.passed], [true, ["name", "tcp", "tls", "handshake", "auth"]]);
  // Without the authority the certificate is nobody's.
  const stranger = tested(`localhost:${secure.control.port}`, { token, tls: true });
  await failsAt(stranger, "tls", "tls", /certificate is not accepted/);
});

test("a token that is refused, missing, or can't be read fails at logging in, and is not said back", async () => {
  await using relay = await startTestRelay();
  const address = `127.0.0.1:${relay.control.port}`;
  const wrong = tested(address, { token: { text: "planted-token" } });
  await failsAt(wrong, "auth", "auth", /^the credential is not accepted$/);
  await failsAt(tested(address), "auth", "auth", /not accepted/);
  const unread = await tested(address, { token: { file: "/nowhere" } });
  assert.deepEqual([unread.ok, unread.failure?.code], [false, "auth"]);
  assert.match(unread.failure!.message, /\/nowhere can't be read/);
});

test("what is not there, speaks no TLS, is expired, or is no relay fails at its step", async () => {
  await failsAt(tested("127.0.0.1:1"), "tcp", "refused", /^nothing listens there$/);
  await failsAt(tested("no-such-host.invalid:7000"), "name", "dns", /^its name can't be resolved$/);
  await using web = await startLocalHttp((_request, response) => response.end("hello"));
  await failsAt(tested(`127.0.0.1:${web.port}`), "handshake", "protocol", /^what answers there is no relay$/);
  const tls = { tls: true, tls_ca_file: caFile };
  await failsAt(tested(`127.0.0.1:${web.port}`, tls), "tls", "tls", /does not speak TLS/);

  const old = makeCertificate(await mkdtemp(join(folder, "old-")), ["localhost"], -1);
  const server = createTlsServer({ cert: readFileSync(old.certFile), key: readFileSync(old.keyFile) });
  server.on("tlsClientError", () => {});
  server.listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as AddressInfo;
  const expired = tested(`localhost:${port}`, { tls: true, tls_ca_file: old.caFile });
  await failsAt(expired, "tls", "tls", /^its certificate is not accepted: certificate has expired$/);
  server.close();
});

test("a relay that takes the connection and says nothing fails in time", async () => {
  const silent = createServer((socket) => socket.on("error", () => {}));
  silent.listen(0, "127.0.0.1");
  await new Promise((resolve) => silent.once("listening", resolve));
  const { port } = silent.address() as AddressInfo;
  await failsAt(tested(`127.0.0.1:${port}`, {}, 300), "handshake", "timeout", /no success in time/);
  silent.close();
});
