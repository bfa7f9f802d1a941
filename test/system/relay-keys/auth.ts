import assert from "node:assert/strict";
import { createHmac, randomUUID } from "node:crypto";
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { after } from "node:test";
import { LINK_VERSION } from "@sockeye/link/messages";
import { issueToken, withEntry } from "@sockeye/relay/auth/tokens-edit";
import { Client } from "../../peers/bare-client.ts";
import { type KeyedRelay, type Settings } from "../../peers/keyed-relay.ts";
import { bodyOf, until } from "../../peers/relay.ts";
import {
  ca,
  certificate,
  folder,
  get,
  type KeyRows,
  own,
  portOf,
  request,
  secondRefused,
  sharePort,
  shareWeb,
  talk,
} from "./row.ts";

/** Who may come, and under which names. */

const wish = { names: ["*"], ports: [{ low: 1, high: 65_535 }] };
const [ada, bob] = [issueToken({ identity: "ada", ...wish }), issueToken({ identity: "bob", ...wish })];
const tokensFile = join(folder, "tokens.yaml");
writeFileSync(tokensFile, withEntry(withEntry("", ada.line), bob.line));
const BY_TOKENS: Settings = { "auth.tokens_file": tokensFile };

const jwtKey = "k".repeat(40);
const jwtFile = join(folder, "jwt.key");
writeFileSync(jwtFile, `${jwtKey}\n`);
const BY_JWT: Settings = { "auth.jwt.secret_file": jwtFile };
const BY_CERTIFICATE: Settings = {
  "control.tls_cert": certificate.certFile,
  "control.tls_key": certificate.keyFile,
  "control.client_ca": certificate.caFile,
};
const mutual = { tls: { ca, servername: "localhost", ...own } };

function jwt(claims: object): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const exp = Math.floor(Date.now() / 1000) + 600;
  const text = `${part({ alg: "HS256", typ: "JWT" })}.${part({ sub: "ada", exp, names: ["*"], ...claims })}`;
  return `${text}.${createHmac("sha256", jwtKey).update(text).digest("base64url")}`;
}

/** An authoriser that lets `good` in. Asked at `/mute/…` about anything, or at `/hung/…` about a session, it has no answer. */
const asked: string[] = [];
const authoriser = createServer((asking, response) => {
  void bodyOf(asking).then((body) => {
    const { type, token, purpose } = JSON.parse(body.toString()) as {
      type: string;
      token?: string;
      purpose?: { kind: string; name?: string };
    };
    const path = asking.url!;
    asked.push(`${path} ${type} ${purpose?.kind ?? ""} ${purpose?.name ?? ""}`);
    if (path.startsWith("/mute") || (path.startsWith("/hung") && purpose?.kind === "session")) return;
    const known = !path.startsWith("/secret") || asking.headers.authorization === "Bearer from-the-relay";
    const allowed = known && (type !== "authenticate" || token === "good");
    const answer = allowed ? { allowed, identity: "ada", names: ["*"], ports: [] } : { allowed };
    response.setHeader("Content-Type", "application/json");
    response.end(JSON.stringify(type === "authenticate" || !allowed ? answer : { allowed }));
  });
});
authoriser.listen(0, "127.0.0.1");
await new Promise((resolve) => authoriser.once("listening", resolve));
after(() => {
  authoriser.closeAllConnections();
  authoriser.close();
});
let place = 0;
const url = (how: string) =>
  `http://127.0.0.1:${(authoriser.address() as AddressInfo).port}/${how}/${place++}`;
const bearerFile = join(folder, "bearer");
writeFileSync(bearerFile, "from-the-relay\n");

async function letsIn(relay: KeyedRelay, token: string | undefined, options: object = {}): Promise<void> {
  await using share = await shareWeb(relay, "demo", { token, ...options });
  assert.match(await get(relay), /here \/$/);
  assert.ok(share.client.connected);
}

async function refuses(relay: KeyedRelay, token: string | undefined, options: object = {}): Promise<void> {
  await assert.rejects(letsIn(relay, token, options), /does not want it|not shared/);
  assert.ok(
    relay.told.some((line) => line === "client refused: auth"),
    relay.told.join("; "),
  );
}

/** Questions about requests that were asked while three for each of `count` names were answered in turn. */
async function questionsFor(relay: KeyedRelay, count: number): Promise<number> {
  const names = Array.from({ length: count }, () => `n${randomUUID()}`);
  await using share = await shareWeb(relay, names[0], { token: "good" });
  for (const name of names.slice(1)) share.client.add({ ...share.client.shares[0]!.spec, name });
  await until(() => share.client.shares.every(({ addresses }) => addresses.length > 0), "all are shared");
  const before = asked.length;
  for (let i = 0; i < 3; i++)
    for (const name of names)
      assert.match(await talk(relay.http!, request("/", `${name}.localhost`)), /here/);
  const ours = names.map((name) => `authorise http ${name}`);
  return asked.slice(before).filter((line) => ours.some((our) => line.endsWith(our))).length;
}

export const auth: KeyRows = {
  "auth.tokens_file": {
    value: tokensFile,
    check: async (relay) => {
      await letsIn(relay, ada.token);
      await refuses(relay, "showoff_0000000000ab_wrong");
    },
  },
  "auth.jwt.secret_file": {
    value: jwtFile,
    check: async (relay) => {
      await letsIn(relay, jwt({}));
      await refuses(relay, `${jwt({}).slice(0, -4)}AAAA`);
    },
  },
  "auth.jwt.issuer": {
    value: "https://id.example",
    base: BY_JWT,
    check: async (relay) => {
      await letsIn(relay, jwt({ iss: "https://id.example" }));
      await refuses(relay, jwt({ iss: "https://other.example" }));
    },
  },
  "auth.jwt.audience": {
    value: "relay",
    base: BY_JWT,
    check: async (relay) => {
      await letsIn(relay, jwt({ aud: "relay" }));
      await refuses(relay, jwt({ aud: "other" }));
    },
  },
  "auth.external.url": {
    value: url("plain"),
    check: async (relay) => {
      await letsIn(relay, "good");
      await refuses(relay, "bad");
    },
  },
  "auth.external.token_file": {
    value: bearerFile,
    base: { "auth.external.url": url("secret") },
    check: (relay) => letsIn(relay, "good"),
  },
  "auth.external.timeout": {
    value: "200ms",
    base: { "auth.external.url": url("mute") },
    check: async (relay) => {
      await using client = await Client.at(relay.control.port);
      client.say({ type: "hello", version: LINK_VERSION, token: "good", instance: "12345678" });
      await until(() => relay.told.includes("client refused: unavailable"), "it is told", 3000);
    },
  },
  "auth.external.cache_ttl": {
    value: "0",
    base: { "auth.external.url": url("plain") },
    check: async (relay) => assert.equal(await questionsFor(relay, 1), 3),
  },
  "auth.external.cache_entries": {
    value: "1",
    base: { "auth.external.url": url("plain") },
    check: async (relay) => assert.ok((await questionsFor(relay, 2)) > 4),
  },
  "auth.certificate_names": {
    value: "{identity}-*",
    base: BY_CERTIFICATE,
    check: async (relay) => {
      await using share = await shareWeb(relay, "x-1", mutual);
      assert.match(await talk(relay.http!, request("/", "x-1.localhost")), /here \/$/);
      assert.equal(
        await secondRefused(share, { ...share.client.shares[0]!.spec, name: "y-1" }),
        "not-allowed",
      );
    },
  },
  "auth.certificate_ports": {
    value: { flag: "14910-14911", variable: "14912-14913", file: "14914-14915" },
    base: { ...BY_CERTIFICATE, "tcp.ports": "14910-14939" },
    check: async (relay) => {
      await using share = await sharePort(relay, {}, mutual);
      assert.ok(portOf(share) < 14_920, share.address);
      const { spec } = share.client.shares[0]!;
      assert.equal(await secondRefused(share, { ...spec, port: 14_931 }), "not-allowed");
    },
  },
  insecure_no_auth: {
    value: "true",
    check: (relay) => letsIn(relay, undefined),
  },
  "names.policy": {
    value: "replace",
    base: BY_TOKENS,
    check: async (relay) => {
      await using first = await shareWeb(relay, "demo", { token: ada.token });
      await letsIn(relay, bob.token);
      await until(() => first.told.includes("unshared: name-taken"), "the first is told");
    },
  },
  "names.allow": {
    value: "ok-*, fine",
    check: async (relay) => {
      await using share = await shareWeb(relay, "ok-1");
      assert.equal(
        await secondRefused(share, { ...share.client.shares[0]!.spec, name: "demo" }),
        "not-allowed",
      );
    },
  },
  "names.reserved": {
    value: "mine",
    check: async (relay) => {
      await using share = await shareWeb(relay, "www");
      assert.equal(
        await secondRefused(share, { ...share.client.shares[0]!.spec, name: "mine" }),
        "not-allowed",
      );
    },
  },
  // While nobody says whether the client may stay, nothing renews its name, and it ends.
  "names.lease": {
    value: "700ms",
    base: { "auth.external.url": url("hung"), "auth.external.timeout": "20s", heartbeat_interval: "200ms" },
    check: async (relay) => {
      await using share = await shareWeb(relay, "demo", { token: "good" });
      const deadline = performance.now() + 3000;
      while (!share.told.includes("unshared: name-taken") && performance.now() < deadline) await get(relay);
      assert.ok(share.told.includes("unshared: name-taken"));
    },
  },
  "names.hold": {
    value: "500ms",
    base: {},
    check: async (relay) => {
      const share = await shareWeb(relay);
      assert.match(await get(relay), /here \/$/);
      share.close();
      await until(() => relay.counts().clients === 0, "it has gone");
      const began = performance.now();
      assert.match(await get(relay), /^HTTP\/1\.1 503 .*"away"/s);
      const waited = performance.now() - began;
      assert.ok(waited > 400 && waited < 2800, `${waited} ms`);
    },
  },
};
