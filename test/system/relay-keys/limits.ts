import assert from "node:assert/strict";
import { connect } from "node:net";
import type { KeyedRelay } from "../../peers/keyed-relay.ts";
import { until } from "../../peers/relay.ts";
import {
  closed,
  get,
  hold,
  type KeyRow,
  type KeyRows,
  portOf,
  request,
  secondRefused,
  sharePort,
  shareWeb,
  talk,
} from "./row.ts";

/** How much, how often, how long. */

/** Two requests one after the other, of which the second is too much. */
function secondIsTooOften(limit: string): KeyRow {
  return {
    value: "1",
    base: { "limits.burst": "1s" },
    check: async (relay) => {
      await using share = await shareWeb(relay);
      const answers = await Promise.all([get(relay), get(relay), get(relay)]);
      assert.ok(
        answers.some((answer) => answer.endsWith("here /")),
        "one is answered",
      );
      const refused = answers.find((answer) => answer.startsWith("HTTP/1.1 429 "));
      assert.ok(refused?.includes(limit), answers.join("\n"));
      assert.ok(share.client.connected);
    },
  };
}

/** A second public connection beside one that stays. */
async function secondIsRefused(relay: KeyedRelay, limit: string): Promise<void> {
  using first = hold(relay.http!);
  await until(() => relay.counts().publicConnections === 1, "the first is there");
  assert.equal(await talk(relay.http!, request()), "");
  assert.ok(relay.told.includes(`refused http: ${limit}`), relay.told.join("; "));
  assert.ok(!first.destroyed);
}

/** A second request beside one that has no answer yet. */
function onlyOneAtOnce(limit: string): KeyRow {
  return {
    value: "1",
    check: async (relay) => {
      await using share = await shareWeb(relay);
      using hanging = hold(relay.http!, request("/hang"));
      await until(() => relay.counts().streams === 1, "the first is under way");
      assert.match(await get(relay), new RegExp(`^HTTP/1\\.1 503 .*${limit}\\)`, "s"));
      assert.ok(share.client.connected && !hanging.destroyed);
    },
  };
}

/** The milliseconds after which a connection to a raw port ends; something is sent `everyMs`. */
async function tunnelTime(relay: KeyedRelay, everyMs: number, half = false): Promise<number> {
  await using share = await sharePort(relay);
  const socket = connect({ port: portOf(share), host: "127.0.0.1", allowHalfOpen: true });
  socket.on("error", () => {});
  socket.resume();
  if (half) socket.end("x");
  else socket.write("x");
  const talking = setInterval(() => !half && socket.write("x"), everyMs);
  const ms = await closed(socket, 3000);
  clearInterval(talking);
  assert.ok(share.client.connected);
  return ms;
}

const clientsRefused = (relay: KeyedRelay, code: string) =>
  relay.told.filter((line) => line === `client refused: ${code}`).length;

/** A second client beside one that stays. */
async function secondClientIsRefused(relay: KeyedRelay, token: string): Promise<void> {
  await using first = await shareWeb(relay, "one", { token: "first" });
  const second = shareWeb(relay, "two", { token });
  second.then(
    (given) => given.close(),
    () => {},
  );
  await until(() => clientsRefused(relay, "limit") > 0, "the second is refused", 3000);
  first.close();
  await second;
}

const NEVER = 3000;

export const limits: KeyRows = {
  "limits.max_clients": { value: "1", check: (relay) => secondClientIsRefused(relay, "another") },
  "limits.max_clients_per_identity": { value: "1", check: (relay) => secondClientIsRefused(relay, "first") },
  "limits.max_handshakes": {
    value: "4",
    check: async (relay) => {
      // One address may have a quarter of them.
      using silent = hold(relay.control);
      await new Promise((resolve) => silent.once("data", resolve));
      using second = hold(relay.control);
      assert.ok((await closed(second, NEVER)) < NEVER);
      assert.ok(relay.told.includes("refused control: limits.max_handshakes"));
    },
  },
  "limits.max_names_per_identity": {
    value: "1",
    check: async (relay) => {
      await using share = await shareWeb(relay, "one");
      assert.equal(await secondRefused(share, { ...share.client.shares[0]!.spec, name: "two" }), "limit");
    },
  },
  "limits.max_ports_per_identity": {
    value: "1",
    check: async (relay) => {
      await using share = await sharePort(relay);
      assert.equal(await secondRefused(share, share.client.shares[0]!.spec), "limit");
    },
  },
  "limits.max_connections": {
    value: "1",
    check: (relay) => secondIsRefused(relay, "limits.max_connections"),
  },
  "limits.max_connections_per_source": {
    value: "1",
    check: (relay) => secondIsRefused(relay, "limits.max_connections_per_source"),
  },
  "limits.max_tunnels": onlyOneAtOnce("limits.max_tunnels"),
  "limits.max_tunnels_per_client": onlyOneAtOnce("limits.max_tunnels_per_client"),
  "limits.max_waiting": {
    value: "0",
    base: { "names.hold": "2s" },
    check: async (relay) => {
      const share = await shareWeb(relay);
      share.close();
      await until(() => relay.counts().clients === 0, "it has gone");
      const began = performance.now();
      assert.match(await get(relay), /^HTTP\/1\.1 503 /);
      assert.ok(performance.now() - began < 1500);
    },
  },
  // Sources for which there is no room share what is left: some are refused at their first request.
  "limits.max_sources": {
    value: "64",
    base: { trusted_proxies: "127.0.0.1", "limits.requests_per_second_per_source": "0.01" },
    check: async (relay) => {
      const from = (i: number) =>
        `GET / HTTP/1.1\r\nHost: nobody.localhost\r\nX-Forwarded-For: 10.1.${i >> 8}.${i & 255}\r\n\r\n`;
      const all = Array.from({ length: 600 }, (_, i) => from(i)).join("");
      const got = await talk(relay.http!, all + request("/", "nobody.localhost"));
      assert.match(got, /HTTP\/1\.1 404 /);
      assert.ok(got.match(/HTTP\/1\.1 429 /g)!.length > 100);
    },
  },
  "limits.head_bytes": {
    value: "1024",
    check: async (relay) => {
      assert.match(await get(relay, "/", `X: ${"y".repeat(2000)}\r\n`), /^HTTP\/1\.1 431 /);
    },
  },
  "limits.head_timeout": {
    value: "300ms",
    check: async (relay) => assert.match(await talk(relay.http!, "GET / HT"), /^HTTP\/1\.1 408 /),
  },
  "limits.handshake_timeout": {
    value: "300ms",
    check: async (relay) => assert.match(await talk(relay.control, ""), /took too long/),
  },
  "limits.response_timeout": {
    value: "300ms",
    check: async (relay) => {
      await using share = await shareWeb(relay);
      assert.match(await get(relay, "/hang"), /^HTTP\/1\.1 504 /);
      assert.ok(share.client.connected);
    },
  },
  "limits.keep_alive_timeout": {
    value: "300ms",
    check: async (relay) => {
      const socket = connect({ port: relay.http!.port, host: "127.0.0.1" });
      socket.resume();
      socket.write("GET / HTTP/1.1\r\nHost: nobody.localhost\r\n\r\n");
      assert.ok((await closed(socket, NEVER)) < NEVER);
    },
  },
  "limits.idle_timeout": {
    value: "300ms",
    check: async (relay) => assert.ok((await tunnelTime(relay, 60_000)) < NEVER),
  },
  "limits.half_close_timeout": {
    value: "300ms",
    check: async (relay) => assert.ok((await tunnelTime(relay, 60_000, true)) < NEVER),
  },
  "limits.total_timeout": {
    value: "500ms",
    check: async (relay) => assert.ok((await tunnelTime(relay, 50)) < NEVER),
  },
  "limits.connections_per_second": {
    value: "1",
    base: { "limits.burst": "1s" },
    check: (relay) => secondOfASecond(relay, "limits.connections_per_second"),
  },
  "limits.connections_per_second_per_source": {
    value: "1",
    base: { "limits.burst": "1s" },
    check: (relay) => secondOfASecond(relay, "limits.connections_per_second_per_source"),
  },
  "limits.connections_per_second_per_client": {
    value: "1",
    base: { "limits.burst": "1s" },
    check: async (relay) => {
      await using share = await sharePort(relay);
      const answers = await Promise.all(
        [1, 2, 3].map(() => talk({ port: portOf(share) }, "x", (got) => got === "x")),
      );
      assert.ok(answers.includes("x"), "one is carried");
      assert.ok(answers.includes(""), "another is not");
      assert.ok(relay.told.includes("ended 127.0.0.1 limit"));
    },
  },
  "limits.requests_per_second": secondIsTooOften("limits.requests_per_second)"),
  "limits.requests_per_second_per_client": secondIsTooOften("limits.requests_per_second_per_client)"),
  "limits.requests_per_second_per_source": secondIsTooOften("limits.requests_per_second_per_source)"),
  "limits.burst": {
    value: "6s",
    base: { "limits.requests_per_second_per_source": "1" },
    check: async (relay) => {
      const ask = "GET / HTTP/1.1\r\nHost: nobody.localhost\r\n\r\n";
      const got = await talk(relay.http!, ask.repeat(11) + request("/", "nobody.localhost"));
      const served = got.match(/HTTP\/1\.1 404 /g)!.length;
      assert.ok(served >= 6 && served < 10, `${served} of 12`);
    },
  },
};

/** The rate of connections, of which one is used up at once; a client's own counts with its source. */
async function secondOfASecond(relay: KeyedRelay, limit: string): Promise<void> {
  await Promise.all([1, 2, 3].map(() => talk(relay.http!, request())));
  assert.ok(relay.told.includes(`refused http: ${limit}`), relay.told.join("; "));
}
