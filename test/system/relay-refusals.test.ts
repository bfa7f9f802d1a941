import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { connect as connectTls } from "node:tls";
import { createLogger } from "@sockeye/engine/observe/log";
import { createToken, formatToken, hashSecret, type Token } from "@sockeye/relay/auth/token";
import { formatTokenEntry } from "@sockeye/relay/auth/tokens-file";
import { relaySchema } from "@sockeye/relay/config/schema";
import { startConfiguredRelay } from "@sockeye/relay/configured";
import { LogObserver } from "../../cli/src/showoff/log-observer.ts";
import { makeCertificate } from "../peers/certificates.ts";
import { startLocalHttp, startShare, until } from "../peers/relay.ts";

/** What a relay's operator reads of clients that are not let in, and of names that they don't get. */

const folder = await mkdtemp(join(tmpdir(), "relay-refusals-"));
after(() => rm(folder, { recursive: true }));

const local = await startLocalHttp((_request, response) => response.end("here"));
after(() => local.stop());
const web = (name: string) => ({ kind: "http", name, target: local.target }) as const;

type Logged = Readonly<Record<string, unknown>>;

/** A relay that logs as `showoff serve` does. */
async function startLogged(settings: Record<string, unknown>) {
  const lines: Logged[] = [];
  const destination = { write: (line: string) => lines.push(JSON.parse(line) as Logged) };
  const logger = createLogger({ level: "debug", format: "json", destination });
  const config = relaySchema.parse({
    domains: "localhost",
    data: { address: "off" },
    public_http: { address: "127.0.0.1:0" },
    admin: { address: "off" },
    ...settings,
  });
  const relay = await startConfiguredRelay(config, new LogObserver(logger));
  /** Waits for a line of this message with these fields. */
  const logs = async (msg: string, fields: Logged) => {
    const isIt = (line: Logged) =>
      line["msg"] === msg && Object.entries(fields).every(([key, value]) => line[key] === value);
    await until(() => lines.some(isIt), `${msg} ${JSON.stringify(fields)} in ${JSON.stringify(lines)}`, 5000);
  };
  return { relay, lines, logs, [Symbol.asyncDispose]: () => relay.stop(0) };
}

function entryOf({ id, secret }: Token, identity: string, expires?: string): string {
  const sha256 = hashSecret(secret);
  return formatTokenEntry({ id, identity, sha256, names: ["*"], ports: [], expires });
}

test("a client that is refused is logged with why and the token's id, a share with its name, and no token ever", async () => {
  const [ada, bob, old, nobodys] = [createToken(), createToken(), createToken(), createToken()];
  const tokens = join(folder, "tokens.yaml");
  const lines = [entryOf(ada, "ada"), entryOf(bob, "bob"), entryOf(old, "old", "2020-01-31")];
  await writeFile(tokens, `tokens:\n${lines.join("\n")}\n`);
  await using logged = await startLogged({
    control: { address: "127.0.0.1:0" },
    auth: { tokens_file: tokens },
  });
  const { relay, logs } = logged;
  const refusedWith = async (token: string | undefined) =>
    assert.rejects(startShare(relay, web("demo"), { token }), /refused: auth/);

  await refusedWith(formatToken(nobodys));
  const refused = { source: "127.0.0.1", code: "auth" };
  const unknown = { ...refused, reason: "the token is not known here" };
  await logs("a client was refused", { ...unknown, credential: nobodys.id, detail: "no token has this id" });
  await refusedWith(formatToken({ id: ada.id, secret: nobodys.secret }));
  const detail = "its secret is not that of this id";
  await logs("a client was refused", { ...unknown, credential: ada.id, detail });
  await refusedWith(formatToken(old));
  await logs("a client was refused", { ...refused, reason: "the token has expired", credential: old.id });
  await refusedWith(undefined);
  await logs("a client was refused", { ...refused, reason: "a credential is needed, such as a token" });

  await using holder = await startShare(relay, web("demo"), { token: formatToken(ada) });
  assert.ok(holder.client.connected);
  await assert.rejects(startShare(relay, web("demo"), { token: formatToken(bob) }), /unshared: name-taken/);
  await logs("a share was refused", { share: "demo", identity: "token:bob", code: "name-taken" });

  const said = JSON.stringify(logged.lines);
  for (const { secret } of [ada, bob, old, nobodys]) assert.ok(!said.includes(secret), "a secret is logged");
});

test("an authoriser's answer that says the token back is logged and told without it", async () => {
  await using asked = await startLocalHttp((request, response) => {
    void request.toArray().then((chunks) => {
      const { token } = JSON.parse(Buffer.concat(chunks as Buffer[]).toString()) as { token: string };
      response.end(JSON.stringify({ allowed: false, reason: `${token} has not paid` }));
    });
  });
  await using logged = await startLogged({
    control: { address: "127.0.0.1:0" },
    auth: { external: { url: `http://127.0.0.1:${asked.port}/` } },
  });
  await assert.rejects(startShare(logged.relay, web("demo"), { token: "s3cret-of-eve" }), /refused: auth/);
  await logged.logs("a client was refused", { code: "auth", reason: "… has not paid" });
  assert.doesNotMatch(JSON.stringify(logged.lines), /s3cret/);
});

test("a client whose TLS handshake fails is logged with why; a health check that says nothing is not", async () => {
  const { certFile, keyFile, caFile } = makeCertificate(folder, ["localhost"]);
  const ca = readFileSync(caFile, "utf8");
  await using logged = await startLogged({
    control: { address: "127.0.0.1:0", tls_cert: certFile, tls_key: keyFile, client_ca: caFile },
    auth: { certificate_names: "*" },
  });
  const { relay, logs } = logged;
  const check = connect(relay.control.port, "127.0.0.1");
  await new Promise((resolve) => check.once("connect", resolve));
  check.end();
  await new Promise((resolve) => check.once("close", resolve));
  const plain = connect(relay.control.port, "127.0.0.1");
  plain.on("error", () => {});
  plain.write("GET / HTTP/1.1\r\n\r\n");
  const refused = { listener: "control", source: "127.0.0.1" };
  await logs("a connection was refused", { ...refused, tls: "http request" });
  plain.destroy();
  const barred = connectTls({ port: relay.control.port, host: "127.0.0.1", servername: "localhost", ca });
  barred.on("error", () => {});
  await logs("a connection was refused", { ...refused, tls: "peer did not return a certificate" });
  const lines = logged.lines.filter((line) => line["msg"] === "a connection was refused");
  assert.ok(lines.every(({ tls }) => tls === "http request" || tls === "peer did not return a certificate"));
  barred.destroy();
});
