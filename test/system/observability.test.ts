import assert from "node:assert/strict";
import { once } from "node:events";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { parseEndpoint } from "@sockeye/engine";
import { startEcho, startTcpServer } from "../peers/echo.ts";
import { freePort } from "../peers/peer-process.ts";
import { skipWithoutSshd, startSshd } from "../peers/sshd.ts";
import { connectThrough, Refused } from "./client.ts";
import { type EngineUnderTest, startEngineUnderTest } from "./engine-under-test.ts";
import { sshUpstream } from "./peers.ts";

/** The roadmap's. */
const FIELDS = ["upstream", "target", "seq", "request_id", "duration_ms"];

describe("what an engine tells of real traffic", () => {
  it("each dial's record has the roadmap's fields, and names the flow as its end does", async () => {
    await using echo = disposable(await startEcho());
    const lines: string[] = [];
    await using sut = await startEngineUnderTest(
      {
        upstreams: { away: { type: "socks5", address: `127.0.0.1:${await freePort()}` } },
        routes: [{ match: "*.away", to: "away" }],
        log: { level: "debug", format: "json" },
      },
      { logDestination: { write: (line: string) => lines.push(line) } },
    );
    const socket = await connectThrough("socks5", sut.socks5, echo);
    socket.destroy();
    await assert.rejects(connectThrough("http", sut.http, { host: "db.away", port: 5432 }), Refused);
    await until(() => lines.some((line) => line.includes('"msg":"flow ')), "the flow's end");
    const records = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    const recordOf = (msg: RegExp) => {
      const record = records.find((each) => msg.test(String(each["msg"])));
      assert.ok(record, `no record of ${String(msg)}`);
      return record;
    };
    const connected = recordOf(/^connected$/);
    const ended = recordOf(/^flow /);
    const failed = recordOf(/^dial failed$/);
    for (const record of [connected, ended, failed])
      for (const field of FIELDS)
        assert.ok(record[field] !== undefined, `${String(record["msg"])}: ${field}`);
    assert.deepEqual(
      [connected["upstream"], connected["target"], typeof connected["duration_ms"]],
      ["direct", `127.0.0.1:${echo.port}`, "number"],
    );
    assert.deepEqual(
      [failed["upstream"], failed["target"], failed["code"]],
      ["away", "db.away:5432", "refused"],
    );
    assert.deepEqual([ended["seq"], ended["request_id"]], [connected["seq"], connected["request_id"]]);
    assert.notEqual(failed["request_id"], connected["request_id"]);
  });

  it(
    "the roadmap's metrics follow an SSH upstream through its loss",
    { skip: skipWithoutSshd() },
    async () => {
      await using echo = disposable(await startEcho());
      await using sshd = await startSshd({ hostKeys: ["ed25519"] });
      await using sut = await startEngineUnderTest(withMetrics({ it: sshUpstream(sshd) }));
      const of = (name: string) => `${name}{upstream="it"}`;
      const before = await scrape(sut);
      assert.equal(before.get(of("upstream_connection_status")), 0);
      const socket = await connectThrough("socks5", sut.socks5, echo);
      socket.on("error", () => {}).write("hello");
      await once(socket, "data");
      const during = await scrape(sut);
      assert.equal(during.get(of("socks5_connections_total")), 1);
      assert.equal(during.get(of("socks5_active_connections")), 1);
      assert.equal(during.get(of("upstream_dial_duration_seconds_count")), 1);
      assert.equal(during.get(of("upstream_connection_status")), 1);
      assert.equal(during.get(of("upstream_reconnect_total")), 0);
      sshd.killConnections();
      await new Promise((resolve) => socket.resume().on("close", resolve));
      for (let tries = 0; (await scrape(sut)).get(of("upstream_reconnect_total")) === 0; tries++) {
        assert.ok(tries < 200, "it was not connected again");
        await sleep(50);
      }
      const after = await scrape(sut);
      assert.equal(after.get(of("socks5_active_connections")), 0);
      assert.equal(after.get(of("upstream_connection_status")), 1);
      assert.equal(after.get(of("upstream_reconnect_total")), 1);
    },
  );

  it("however many targets there are, and however they end, there is no further series", async () => {
    await using silent = disposable(await startTcpServer((socket) => void socket.end()));
    const proxy = { type: "socks5", address: `127.0.0.1:${silent.port}` };
    await using sut = await startEngineUnderTest({
      ...withMetrics({ it: proxy }),
      routes: [
        { match: "127.0.0.0/8", to: "direct" },
        { match: "*.blocked", to: "block" },
      ],
    });
    const talk = async (i: number): Promise<void> => {
      const targets = [`127.0.2.${i}`, `host${i}.example`, `host${i}.blocked`];
      const inbound = i % 2 === 0 ? "socks5" : "http";
      const tries = targets.map((host) => connectThrough(inbound, sut[inbound], { host, port: 1 }));
      for (const outcome of await Promise.allSettled(tries)) assert.equal(outcome.status, "rejected");
    };
    // Each kind of failure once: its code is a label, out of a closed list.
    await talk(1);
    await talk(2);
    const series = [...(await scrape(sut)).keys()].sort();
    for (let i = 3; i < 40; i++) await talk(i);
    const later = await scrape(sut);
    assert.deepEqual([...later.keys()].sort(), series);
    assert.doesNotMatch([...later.keys()].join("\n"), /host\d|127\.0\.2/);
  });
});

function withMetrics(upstreams: object): { listen: object; upstreams: object; default: string } {
  const listen = { socks5: "127.0.0.1:0", http: "127.0.0.1:0", metrics: "127.0.0.1:0" };
  return { listen, upstreams, default: "it" };
}

async function scrape(sut: EngineUnderTest): Promise<Map<string, number>> {
  const { address } = sut.engine.status().listeners.find(({ kind }) => kind === "metrics")!;
  const { host, port } = parseEndpoint(address);
  const text = await (await fetch(`http://${host}:${port}/metrics`)).text();
  const samples = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(
    samples.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.split(" ").at(-1))]),
  );
}

function disposable<T extends { stop(): Promise<void> }>(peer: T): T & AsyncDisposable {
  return Object.assign(peer, { [Symbol.asyncDispose]: () => peer.stop() });
}

async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!condition()) {
    assert.ok(Date.now() < deadline, `not within ten seconds: ${what}`);
    await sleep(10);
  }
}
