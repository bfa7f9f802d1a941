import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as connectTls } from "node:tls";
import { writeProxyHeader } from "@sockeye/wire/proxy-protocol";
import { Client } from "../../peers/bare-client.ts";
import type { KeyedRelay, Settings } from "../../peers/keyed-relay.ts";
import { startProxy } from "../../peers/proxy.ts";
import { until } from "../../peers/relay.ts";
import {
  ca,
  certificate,
  closed,
  get,
  hold,
  type KeyRow,
  type KeyRows,
  own,
  portOf,
  request,
  sharePort,
  shareWeb,
  talk,
  type Where,
} from "./row.ts";

/** Where the relay listens, and how it speaks there. */

const SOURCE = { host: "203.0.113.7", port: 4711 };
const headerBytes = writeProxyHeader("v1", SOURCE, { host: "198.51.100.1", port: 443 });
const header = headerBytes.toString();
const PROXIES: Settings = { trusted_proxies: "127.0.0.0/8" };
const { certFile, keyFile, caFile } = certificate;

/** A key and its certificate only make sense together: each is tested with the other in the file. */
const tlsPair = (listener: string, base: Settings, check: KeyRow["check"]): KeyRows => ({
  [`${listener}.tls_cert`]: { value: certFile, base: { ...base, [`${listener}.tls_key`]: keyFile }, check },
  [`${listener}.tls_key`]: { value: keyFile, base: { ...base, [`${listener}.tls_cert`]: certFile }, check },
});

const tlsOf = (listener: string): Settings => ({
  [`${listener}.tls_cert`]: certFile,
  [`${listener}.tls_key`]: keyFile,
});

/** Claims a stream that there is none of, which the data listener alone answers with its refusal. */
async function claim(client: Client): Promise<string> {
  client.say({ type: "claim", key: "x".repeat(22) });
  await until(() => client.ended, "it is answered", 3000);
  const [answer] = client.heard;
  return answer?.type === "refused" ? answer.code : "nothing";
}

async function overTls(where: Where, client: object = {}) {
  const socket = connectTls({ host: "127.0.0.1", port: where.port, ca, servername: "localhost", ...client });
  socket.on("error", () => {});
  await once(socket, "secureConnect", { signal: AbortSignal.timeout(3000) });
  return socket;
}

async function getOverTls(where: Where): Promise<string> {
  const socket = await overTls(where);
  let got = "";
  socket.on("data", (chunk: Buffer) => (got += chunk.toString()));
  socket.write(request());
  await once(socket, "close", { signal: AbortSignal.timeout(3000) });
  return got;
}

async function refusesPlain(relay: KeyedRelay, listener: string, where: Where): Promise<void> {
  await talk(where, request());
  await until(() => relay.told.some((line) => line.startsWith(`refused ${listener}`)), "a line", 3000);
}

export const listeners: KeyRows = {
  domains: {
    value: "keys.localhost",
    check: async (relay) => {
      await using share = await shareWeb(relay);
      assert.match(share.address, /^http:\/\/demo\.keys\.localhost:/);
      assert.match(await talk(relay.http!, request("/", "demo.keys.localhost")), /here \/$/);
    },
  },
  "control.address": {
    value: "127.0.0.2:0",
    check: async (relay) => {
      await using client = await Client.at(relay.control.port, "127.0.0.2");
      client.say({ type: "claim", key: "x".repeat(22) });
      await until(() => client.heard[0]?.type === "refused", "it is answered", 3000);
    },
  },
  ...tlsPair("control", {}, async (relay) => {
    await using share = await shareWeb(relay, "demo", { tls: { ca, servername: "localhost" } });
    assert.match(await get(relay), /here \/$/);
    assert.ok(share.client.connected);
  }),
  "control.client_ca": {
    value: caFile,
    base: tlsOf("control"),
    check: async (relay) => {
      await using share = await shareWeb(relay, "demo", { tls: { ca, servername: "localhost", ...own } });
      assert.ok(share.client.connected);
      assert.ok((await closed(await overTls(relay.control), 3000)) < 3000);
    },
  },
  "control.proxy_protocol": {
    value: "v1",
    base: PROXIES,
    check: async (relay) => {
      await refusesPlain(relay, "control", relay.control);
      await using proxy = await startProxy(relay.control.port, headerBytes);
      await using share = await shareWeb(relay, "demo", { relay: { host: "127.0.0.1", port: proxy.port } });
      assert.ok(share.client.connected);
    },
  },
  "data.address": {
    value: "127.0.0.2:0",
    check: async (relay) => {
      await using client = await Client.at(relay.data!.port, "127.0.0.2");
      assert.equal(await claim(client), "auth");
    },
  },
  ...tlsPair("data", {}, async (relay) => {
    await using client = new Client(await overTls(relay.data!));
    assert.equal(await claim(client), "auth");
  }),
  "data.client_ca": {
    value: caFile,
    base: tlsOf("data"),
    check: async (relay) => {
      await using client = new Client(await overTls(relay.data!, own));
      assert.equal(await claim(client), "auth");
      await using stranger = new Client(await overTls(relay.data!));
      assert.equal(await claim(stranger).catch(() => "nothing"), "nothing");
    },
  },
  "data.proxy_protocol": {
    value: "any",
    base: PROXIES,
    check: async (relay) => {
      await refusesPlain(relay, "data", relay.data!);
      await using proxy = await startProxy(relay.data!.port, headerBytes);
      await using client = await Client.at(proxy.port);
      assert.equal(await claim(client), "auth");
    },
  },
  "public_http.address": {
    value: "127.0.0.2:0",
    check: async (relay) => {
      await using share = await shareWeb(relay);
      assert.match(await talk({ host: "127.0.0.2", port: relay.http!.port }, request()), /here \/$/);
      assert.ok(share.client.connected);
    },
  },
  "public_http.proxy_protocol": {
    value: "v1",
    base: PROXIES,
    check: async (relay) => {
      await using share = await shareWeb(relay);
      assert.match(await talk(relay.http!, header + request("/headers")), /"x-forwarded-for":"203.0.113.7"/);
      await refusesPlain(relay, "http", relay.http!);
      assert.ok(share.client.connected);
    },
  },
  "public_https.address": {
    value: "127.0.0.1:0",
    base: tlsOf("public_https"),
    check: async (relay) => {
      await using share = await shareWeb(relay);
      assert.match(await getOverTls(relay.https!), /here \/$/);
      assert.match(share.address, /^https:/);
    },
  },
  ...tlsPair("public_https", { "public_https.address": "127.0.0.1:0" }, async (relay) => {
    await using share = await shareWeb(relay);
    assert.match(await getOverTls(relay.https!), /here \/$/);
    assert.ok(share.client.connected);
  }),
  "public_https.proxy_protocol": {
    value: "v1",
    base: { ...PROXIES, ...tlsOf("public_https"), "public_https.address": "127.0.0.1:0" },
    check: async (relay) => {
      await refusesPlain(relay, "https", relay.https!);
      await using proxy = await startProxy(relay.https!.port, headerBytes);
      await getOverTls(proxy);
      assert.ok(relay.told.includes(`ended ${SOURCE.host} unknown-name`), relay.told.join("; "));
    },
  },
  "tcp.host": {
    value: "127.0.0.2",
    check: async (relay) => {
      await using share = await sharePort(relay);
      assert.equal(await talk({ host: "127.0.0.2", port: portOf(share) }, "x", (got) => got === "x"), "x");
    },
  },
  "tcp.ports": {
    value: { flag: "14900-14901", variable: "14902-14903", file: "14904-14905" },
    check: async (relay) => {
      await using share = await sharePort(relay);
      assert.ok(portOf(share) >= 14_900 && portOf(share) <= 14_905, share.address);
      assert.equal(await talk({ port: portOf(share) }, "x", (got) => got === "x"), "x");
    },
  },
  "tcp.public_host": {
    value: "ports.example.com",
    check: async (relay) => {
      await using share = await sharePort(relay);
      assert.match(share.address, /^ports\.example\.com:\d+$/);
    },
  },
  public_urls: {
    value: "https://{name}.{domain},http://{name}.localhost:8000",
    check: async (relay) => {
      await using share = await shareWeb(relay);
      const [published] = share.client.shares;
      assert.deepEqual(published!.addresses, ["https://demo.localhost", "http://demo.localhost:8000"]);
      // What a load balancer in front passes on has its own port in Host.
      assert.match(await talk(relay.http!, request("/", "demo.localhost:8000")), /here \/$/);
    },
  },
  "tcp.proxy_protocol": {
    value: "v1",
    base: { ...PROXIES, proxy_protocol_out: "v1" },
    check: async (relay) => {
      await using share = await sharePort(relay);
      const got = await talk({ port: portOf(share) }, `${header}x`, (got) => got.endsWith("x"));
      assert.equal(got, `${header}x`);
    },
  },
  trusted_proxies: {
    value: "127.0.0.1",
    check: async (relay) => {
      await using share = await shareWeb(relay);
      assert.match(
        await get(relay, "/headers", "X-Forwarded-For: 9.9.9.9\r\n"),
        /"9\.9\.9\.9, 127\.0\.0\.1"/,
      );
      assert.ok(share.client.connected);
    },
  },
  proxy_protocol_out: {
    value: "v1",
    check: async (relay) => {
      await using share = await sharePort(relay);
      const got = await talk({ port: portOf(share) }, "x", (got) => got.endsWith("x"));
      assert.match(got, /^PROXY TCP4 127\.0\.0\.1 127\.0\.0\.1 \d+ \d+\r\nx$/);
    },
  },
  host_rewrite: {
    value: "inside.example",
    check: async (relay) => {
      await using share = await shareWeb(relay);
      assert.match(await get(relay, "/headers"), /"host":"inside\.example"/);
      assert.ok(share.client.connected);
    },
  },
  heartbeat_interval: {
    value: "200ms",
    check: async (relay) => {
      await using client = await Client.to(relay, { apart: false });
      // It is there, and says nothing more: three heartbeats later it is given up.
      client.stop();
      await until(() => relay.counts().clients === 0, "it is given up", 3000);
      assert.match(relay.told.at(-1)!, /nothing was heard/);
    },
  },
  drain_timeout: {
    value: "300ms",
    check: async (relay) => {
      await using share = await shareWeb(relay);
      using hanging = hold(relay.http!, request("/hang"));
      await until(() => relay.counts().streams === 1, "it is under way");
      const began = performance.now();
      await Promise.race([relay.stop(), new Promise((resolve) => setTimeout(resolve, 2500))]);
      assert.ok(performance.now() - began < 2000);
      assert.ok(!share.client.connected || !hanging.readable);
    },
  },
};
