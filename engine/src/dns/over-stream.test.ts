import assert from "node:assert/strict";
import { test } from "node:test";
import { answerA, DnsServer } from "../../../test/peers/dns-server.ts";
import { until } from "../../../test/peers/loopback.ts";
import { DialError } from "../errors.ts";
import { DirectDialer } from "../upstream/direct.ts";
import { TYPE, writeQuery } from "./message.ts";
import { DnsOverStream, MAX_PIPELINED } from "./over-stream.ts";

const query = (name = "a.example", id = 3) => writeQuery(id, name, TYPE.A)!;
const soon = () => AbortSignal.timeout(5000);
const hasCode = (code: string) => (error: unknown) => error instanceof DialError && error.code === code;

test("the connection is closed after a while without a question, and made again for the next", async () => {
  await using server = await DnsServer.start(({ query }) => answerA(query, "10.0.0.1"));
  const dns = new DnsOverStream(server.endpoint, new DirectDialer(), { idleMs: 50 });
  assert.equal((await dns.ask(query(), { signal: soon() })).readUInt16BE(0), 3);
  assert.ok(!dns.isIdle);
  await until("the connection is closed", () => dns.isIdle && server.sockets.size === 0);
  await dns.ask(query(), { signal: soon() });
  assert.equal(server.connections, 2);
  dns.close();
});

test("a connection that has been silent since a question is given up with it, a busy one is not", async () => {
  await using server = await DnsServer.start(({ query }) =>
    query.question.name === "slow" ? undefined : answerA(query, "10.0.0.1"),
  );
  const dns = new DnsOverStream(server.endpoint, new DirectDialer());
  await dns.ask(query(), { signal: soon() });
  const slow = dns.ask(query("slow"), { signal: AbortSignal.timeout(100) });
  await dns.ask(query(), { signal: soon() });
  await assert.rejects(slow);
  assert.ok(!dns.isIdle, "others were answered meanwhile");
  await assert.rejects(dns.ask(query("slow"), { signal: AbortSignal.timeout(50) }));
  await until("the connection is given up", () => dns.isIdle);
  dns.close();
});

test("a server's answers under ids that nobody waits for are passed over", async () => {
  await using server = await DnsServer.start(({ query }) => {
    const stray = answerA(query, "6.6.6.6");
    stray.writeUInt16BE(query.id ^ 0x8000, 0);
    return [Buffer.alloc(0), Buffer.from([1]), stray, answerA(query, "10.0.0.1")];
  });
  const dns = new DnsOverStream(server.endpoint, new DirectDialer());
  assert.ok((await dns.ask(query(), { signal: soon() })).includes(Buffer.from([10, 0, 0, 1])));
  dns.close();
});

test("the dial is given up when nobody waits for it any more", async () => {
  let cancelled = false;
  const dns = new DnsOverStream(
    { host: "192.0.2.1", port: 53 },
    {
      dial: (_target, { signal }) =>
        new Promise((_resolve, reject) =>
          signal.addEventListener("abort", () => {
            cancelled = true;
            reject(new DialError("cancelled", "given up"));
          }),
        ),
    },
  );
  const asked = [50, 100].map((ms) => dns.ask(query(), { signal: AbortSignal.timeout(ms) }));
  for (const one of asked) await assert.rejects(one, hasCode("cancelled"));
  await until("the dial is given up", () => cancelled);
  dns.close();
});

test("more questions than the cap at one time are refused; close() ends those that wait", async () => {
  await using server = await DnsServer.start(() => undefined);
  const dns = new DnsOverStream(server.endpoint, new DirectDialer());
  const waiting = Array.from({ length: MAX_PIPELINED }, () => dns.ask(query(), { signal: soon() }));
  const ended = Promise.allSettled(waiting);
  await until("they are asked", () => server.heard.length === MAX_PIPELINED);
  assert.equal(new Set(server.heard.map((heard) => heard.query.id)).size, MAX_PIPELINED);
  await assert.rejects(dns.ask(query(), { signal: soon() }), hasCode("limit"));
  dns.close();
  assert.ok((await ended).every(({ status }) => status === "rejected"));
  await assert.rejects(dns.ask(query(), { signal: soon() }), hasCode("closed"));
});

test("a connection that comes when its question has gone is closed after a while too", async () => {
  await using server = await DnsServer.start(({ query }) => answerA(query, "10.0.0.1"));
  const controller = new AbortController();
  const direct = new DirectDialer();
  const dns = new DnsOverStream(
    server.endpoint,
    {
      dial: async (target, options) => {
        const stream = await direct.dial(target, options);
        controller.abort();
        return stream;
      },
    },
    { idleMs: 50 },
  );
  await assert.rejects(dns.ask(query(), { signal: controller.signal }));
  await until(
    "the connection is made and closed",
    () => server.connections === 1 && server.sockets.size === 0,
  );
  assert.ok(dns.isIdle);
});
