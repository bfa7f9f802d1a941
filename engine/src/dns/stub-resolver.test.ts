import assert from "node:assert/strict";
import type { LookupAddress } from "node:dns";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { test } from "node:test";
import { answerA, DnsServer, type Heard, type Script } from "../../../test/peers/dns-server.ts";
import { DirectDialer } from "../upstream/direct.ts";
import { Resolver } from "../upstream/resolver.ts";
import { FLAG, RCODE, readMessage, TYPE, writeAnswer, writeName, writeQuery, type Asked } from "./message.ts";
import { askDirectly } from "./over-udp.ts";
import { StubResolver, type StubResolverOptions } from "./stub-resolver.ts";

const NOTHING: Script = () => undefined;
const v6 = (...last: number[]) =>
  last.map((byte) => ({
    type: TYPE.AAAA,
    ttl: 60,
    data: Buffer.from([0xfd, ...new Array<number>(14).fill(0), byte]),
  }));

/** Answers A with 10.0.0.1 and AAAA with fd00::1, as long as the name exists. */
const both =
  (...names: string[]): Script =>
  ({ query }) => {
    if (!names.includes(query.question.name)) return writeAnswer(query, RCODE.NXDOMAIN);
    return query.question.type === TYPE.A ? answerA(query, "10.0.0.1") : writeAnswer(query, 0, v6(1));
  };

function stubFor(server: DnsServer, options: Partial<StubResolverOptions> = {}): StubResolver {
  const { resolvConf = "nameserver 127.0.0.1\noptions timeout:1 attempts:1" } = options;
  return new StubResolver({ port: server.port, ...options, resolvConf });
}

const texts = (addresses: readonly LookupAddress[]) => addresses.map(({ address }) => address);
const hasCode = (code: string) => (error: unknown) => (error as { code?: string }).code === code;

test("both families are asked at once, and IPv6 stands first", async () => {
  await using server = await DnsServer.start(both("a.example"));
  assert.deepEqual(await stubFor(server).lookup("A.Example"), [
    { address: "fd00::1", family: 6 },
    { address: "10.0.0.1", family: 4 },
  ]);
  const [first, second] = server.heard as [Heard, Heard];
  assert.notEqual(first.port, second.port, "each question has a port of its own");
});

test("a family that the machine has not is not asked for", async () => {
  await using server = await DnsServer.start(both("a.example"));
  assert.deepEqual(texts(await stubFor(server, { families: () => [4] }).lookup("a.example")), ["10.0.0.1"]);
  assert.deepEqual(server.questions, ["udp a.example 1"]);
});

test("ids and ports differ from question to question", async () => {
  await using server = await DnsServer.start(both("a.example"));
  const stub = stubFor(server, { families: () => [4] });
  for (let i = 0; i < 30; i++) await stub.lookup("a.example");
  assert.ok(new Set(server.heard.map(({ query }) => query.id)).size > 25);
  assert.ok(new Set(server.heard.map(({ port }) => port)).size > 10);
});

test("hosts and localhost come before any server", async () => {
  await using server = await DnsServer.start(NOTHING);
  const stub = stubFor(server, {
    hosts: "10.9.9.9 git.corp git\n127.0.0.1 localhost\n6.6.6.6 evil.localhost",
  });
  assert.deepEqual(texts(await stub.lookup("GIT.corp.")), ["10.9.9.9"]);
  assert.deepEqual(texts(await stub.lookup("localhost")), ["127.0.0.1"]);
  assert.deepEqual(texts(await stub.lookup("evil.localhost")), ["127.0.0.1", "::1"]);
  assert.deepEqual(texts(await stub.lookup("192.0.2.9")), ["192.0.2.9"]);
  assert.deepEqual(server.questions, []);
});

test("search and ndots choose the names that are asked for, in order; a final dot ends the search", async () => {
  await using server = await DnsServer.start(both("git.two.example"));
  const resolvConf = "nameserver 127.0.0.1\nsearch one.example two.example\noptions timeout:1 attempts:1";
  const stub = stubFor(server, { resolvConf, families: () => [4] });
  assert.deepEqual(texts(await stub.lookup("git")), ["10.0.0.1"]);
  assert.deepEqual(server.questions.splice(0), ["udp git.one.example 1", "udp git.two.example 1"]);
  server.heard.length = 0;
  await assert.rejects(stub.lookup("git."), hasCode("ENOTFOUND"));
  await assert.rejects(stub.lookup("a.b"), hasCode("ENOTFOUND"));
  assert.deepEqual(server.questions, [
    "udp git 1",
    "udp a.b 1",
    "udp a.b.one.example 1",
    "udp a.b.two.example 1",
  ]);
});

test("an answer that is cut is asked for again by TCP", async () => {
  await using server = await DnsServer.start(({ query, over }) => {
    const answer = over === "tcp" ? answerA(query, "10.0.0.1", "10.0.0.2") : answerA(query);
    if (over === "udp") answer.writeUInt16BE(answer.readUInt16BE(2) | FLAG.TC, 2);
    return answer;
  });
  const addresses = await stubFor(server, { families: () => [4] }).lookup("a.example");
  assert.deepEqual(texts(addresses), ["10.0.0.1", "10.0.0.2"]);
  assert.deepEqual(server.questions, ["udp a.example 1", "tcp a.example 1"]);
});

test("answers with a wrong id, another question or no sense are passed over until the right one comes", async () => {
  await using server = await DnsServer.start(({ query }) => {
    const wrongId = answerA(query, "6.6.6.6");
    wrongId.writeUInt16BE(query.id ^ 1, 0);
    const other = answerA(readMessage(writeQuery(query.id, "evil.example", TYPE.A)!) as Asked, "6.6.6.6");
    const echo = query.bytes;
    return [wrongId, other, echo, Buffer.from("?"), Buffer.alloc(0), answerA(query, "10.0.0.1")];
  });
  assert.deepEqual(texts(await stubFor(server, { families: () => [4] }).lookup("a.example")), ["10.0.0.1"]);
});

test("an answer from another port is not heard", async () => {
  const stranger = createSocket("udp4");
  stranger.bind(0, "127.0.0.1");
  await once(stranger, "listening");
  await using server = await DnsServer.start(({ query, port }) => {
    stranger.send(answerA(query, "6.6.6.6"), port, "127.0.0.1");
    return undefined;
  });
  try {
    const ask = stubFor(server, { families: () => [4], deadlineMs: 300 }).lookup("a.example");
    await assert.rejects(ask, hasCode("EAI_AGAIN"));
  } finally {
    stranger.close();
  }
});

test("addresses of other names in an answer are not believed, those at the end of its aliases are", async () => {
  const record = (owner: string, type: number, data: Buffer) =>
    Buffer.concat([writeName(owner)!, Buffer.from([0, type, 0, 1, 0, 0, 0, 60, 0, data.length]), data]);
  await using server = await DnsServer.start(({ query }) => {
    const records = [
      record("bank.example", TYPE.A, Buffer.from([6, 6, 6, 6])),
      record("b.example", TYPE.CNAME, writeName("c.example")!),
      record("c.example", TYPE.A, Buffer.from([10, 0, 0, 3])),
      record("a.example", TYPE.CNAME, writeName("b.example")!),
      record("a.example", TYPE.A, Buffer.from([6, 6, 6])),
    ];
    const head = writeAnswer(query, 0);
    head.writeUInt16BE(records.length, 6);
    head.writeUInt16BE(0, 10);
    return Buffer.concat([head.subarray(0, -11), ...records]);
  });
  assert.deepEqual(texts(await stubFor(server, { families: () => [4] }).lookup("a.example")), ["10.0.0.3"]);
});

test("aliases in a circle end, and the name has no address", async () => {
  await using server = await DnsServer.start(({ query }) =>
    writeAnswer(query, 0, [{ type: TYPE.CNAME, ttl: 1, data: Buffer.from([0xc0, 12]) }]),
  );
  await assert.rejects(stubFor(server).lookup("a.example"), hasCode("ENOTFOUND"));
});

test("one family's answer does not wait long for a server that is silent about the other", async () => {
  await using server = await DnsServer.start(({ query }) =>
    query.question.type === TYPE.A ? answerA(query, "10.0.0.1") : undefined,
  );
  const resolvConf = "nameserver 127.0.0.1\noptions timeout:30";
  const before = performance.now();
  assert.deepEqual(texts(await stubFor(server, { resolvConf }).lookup("a.example")), ["10.0.0.1"]);
  assert.ok(performance.now() - before < 5000);
});

test("the next server is asked when one refuses, fails or does not listen, and a silent one is asked last then", async () => {
  await using server = await DnsServer.start(both("a.example"));
  const asked: string[] = [];
  const resolvConf =
    "nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\noptions timeout:1 attempts:2";
  const direct = askDirectly();
  const stub = stubFor(server, {
    resolvConf,
    families: () => [4],
    ask: ({ host, port }, query, { signal }) => {
      asked.push(host);
      const message = readMessage(query) as Asked;
      if (host === "192.0.2.2") return Promise.resolve(writeAnswer(message, RCODE.REFUSED));
      if (host === "192.0.2.3") return direct({ host: "127.0.0.1", port }, query, { signal });
      return new Promise((_resolve, reject) =>
        signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true }),
      );
    },
  });
  assert.deepEqual(texts(await stub.lookup("a.example")), ["10.0.0.1"]);
  assert.deepEqual(asked.splice(0), ["192.0.2.1", "192.0.2.2", "192.0.2.3"]);
  await stub.lookup("a.example");
  assert.deepEqual(asked, ["192.0.2.2", "192.0.2.3"]);
});

test("a port on which nothing listens is found out at once", async () => {
  const server = await DnsServer.start(NOTHING);
  const stub = stubFor(server, { resolvConf: "nameserver 127.0.0.1\noptions timeout:30 attempts:1" });
  await server[Symbol.asyncDispose]();
  const before = performance.now();
  await assert.rejects(stub.lookup("a.example"), hasCode("EAI_AGAIN"));
  assert.ok(performance.now() - before < 5000);
});

test("a dead server costs the deadline, and what can't be a name costs nothing", async () => {
  await using server = await DnsServer.start(NOTHING);
  await assert.rejects(stubFor(server, { deadlineMs: 100 }).lookup("a.example"), hasCode("EAI_AGAIN"));
  server.heard.length = 0;
  for (const name of ["a..b", "x".repeat(64), ""]) {
    await assert.rejects(stubFor(server).lookup(name), hasCode("ENOTFOUND"), name);
  }
  assert.deepEqual(server.questions, []);
});

test("it takes the place of the system's look-up in a dial, and gives it back", async () => {
  await using server = await DnsServer.start(({ query }) => answerA(query, "127.0.0.1"));
  const resolver = new Resolver({
    getAddrInfo: (_name, done) => process.nextTick(done, new Error("the system was asked"), []),
  });
  resolver.use({ getAddrInfo: stubFor(server, { families: () => [4] }).getAddrInfo, maxRunning: 64 });
  const dialer = new DirectDialer(resolver);
  const signal = AbortSignal.timeout(5000);
  const socket = await dialer.dial({ host: "far.example", port: server.port }, { signal });
  socket.destroy();
  assert.deepEqual(server.questions, ["udp far.example 1"]);
  resolver.use();
  await assert.rejects(
    dialer.dial({ host: "far.example", port: server.port }, { signal }),
    /the system was asked/,
  );
});

test("our own address in resolv.conf, left there by a crash, is not asked", async () => {
  await using server = await DnsServer.start(both("a.example"));
  const resolvConf = "nameserver 198.18.0.2\nnameserver 127.0.0.1\noptions rotate";
  assert.equal((await stubFor(server, { resolvConf }).lookup("a.example")).length, 2);
  const alone = stubFor(server, { resolvConf: "nameserver 198.18.0.2\noptions rotate" });
  await assert.rejects(alone.lookup("a.example"), /no name server of its own/);
});

test("a server that is known by name is asked by TCP, and whoever dials resolves it", async () => {
  await using server = await DnsServer.start(({ query }) => answerA(query, "10.0.0.1"));
  const resolver = new Resolver({
    getAddrInfo: (_name, done) => process.nextTick(done, null, [{ address: "127.0.0.1", family: 4 }]),
  });
  const ask = askDirectly({
    udp: () => Promise.reject(new Error("no datagram")),
    tcp: new DirectDialer(resolver),
  });
  await ask({ host: "ns.example", port: server.port }, writeQuery(1, "a.example", TYPE.A)!, {
    signal: AbortSignal.timeout(5000),
  });
  assert.deepEqual(server.questions, ["tcp a.example 1"]);
});
