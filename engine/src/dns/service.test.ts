import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { LoopbackServer, until } from "../../../test/peers/loopback.ts";
import { answerA, DnsServer } from "../../../test/peers/dns-server.ts";
import { defaultTun } from "../config/defaults.ts";
import type { RouteConfig, TunDnsMode } from "../config/config.ts";
import type { Endpoint } from "../endpoint.ts";
import { DialError } from "../errors.ts";
import { createRouter } from "../router/router.ts";
import { DirectDialer } from "../upstream/direct.ts";
import type { Dialer } from "../upstream/dialer.ts";
import { FakeAddresses, FAKE_TTL } from "./fake-addresses.ts";
import {
  type Asked,
  FLAG,
  type Message,
  RCODE,
  rcodeOf,
  readMessage,
  readName,
  TYPE,
  writeAnswer,
  writeQuery,
} from "./message.ts";
import { addressesIn } from "./stub-resolver.ts";
import { DnsService, type DnsServiceOptions } from "./service.ts";

const OWN: Endpoint = { host: "198.18.0.2", port: 53 };
const MX = 15;

interface World {
  readonly mode?: TunDnsMode;
  readonly routes?: readonly RouteConfig[];
  readonly default?: string;
  readonly cidrs?: readonly string[];
  readonly options?: Partial<DnsServiceOptions>;
}

/** A service whose every upstream leads to `far`, and whose original resolvers answer 192.0.2.1 to all. */
function makeService(world: World = {}) {
  const warnings: string[] = [];
  const asked: string[] = [];
  const config = {
    routes: world.routes ?? [{ match: "*.corp.internal", to: "production" }],
    default: world.default ?? "direct",
    tun: { ...defaultTun, cidrs: world.cidrs ?? ["10.0.0.0/8"], dns: world.mode ?? "fake-ip" },
  } as const;
  const answer = (query: Buffer): Promise<Buffer> => {
    const message = readMessage(query) as Asked;
    asked.push(`${message.question.name} ${message.question.type}`);
    return Promise.resolve(answerA(message, "192.0.2.1"));
  };
  const service = new DnsService({
    config,
    router: createRouter(config.routes, config.default),
    upstream: () => undefined,
    askDirectly: (_server, query) => answer(query),
    originals: { key: "originals", tries: 1, ask: (query) => answer(query) },
    log: { debug: () => {}, info: () => {}, warn: (_fields, message) => warnings.push(message) },
    ...world.options,
  });
  const ask = async (name: string, type: number = TYPE.A, server = OWN): Promise<Message> =>
    readMessage((await service.answerDatagram(writeQuery(9, name, type)!, server))!)!;
  return { service, ask, asked, warnings };
}

const outcome = (answer: Message): [rcode: number, answers: number] => [
  rcodeOf(answer),
  answer.records.filter(({ section }) => section === "answer").length,
];
const NODATA = [RCODE.NOERROR, 0];
const ipv4In = (answer: Message): string | undefined => addressesIn(answer, 4)[0]?.address;

test("a routed name gets a fake address of each family, for a short time, that leads back to it", async () => {
  const { service, ask, asked } = makeService();
  const a = await ask("Git.Corp.Internal");
  assert.match(ipv4In(a)!, /^198\.1[89]\./);
  assert.equal(a.id, 9);
  assert.equal(a.records[0]!.ttl, FAKE_TTL);
  assert.equal(service.targetOf(ipv4In(a)!), "git.corp.internal");
  const ipv6 = addressesIn(await ask("git.corp.internal", TYPE.AAAA), 6)[0]!.address;
  assert.equal(service.targetOf(ipv6), "git.corp.internal");
  assert.equal(ipv4In(await ask("git.corp.internal", TYPE.ANY)), ipv4In(a));
  assert.deepEqual(asked, []);
});

test("a name that no route mentions, and one that is routed to direct, are asked for truly", async () => {
  const routes = [
    { match: "www.corp.internal", to: "direct" },
    { match: "*.corp.internal", to: "production" },
  ];
  const { ask, asked } = makeService({ routes });
  assert.equal(ipv4In(await ask("example.com")), "192.0.2.1");
  assert.equal(ipv4In(await ask("www.corp.internal")), "192.0.2.1");
  assert.equal(ipv4In(await ask("corp.internal")), "192.0.2.1", "a suffix is not the name itself");
  assert.equal(asked.length, 3);
});

test("HTTPS and SVCB of a routed name have no record, under a service's name too, nor has AAAA without IPv6", async () => {
  const routes = [{ match: "git.example.com", to: "production" }];
  const { ask, asked } = makeService({ routes, options: { ipv6: false } });
  assert.deepEqual(outcome(await ask("git.example.com", TYPE.HTTPS)), NODATA);
  assert.deepEqual(outcome(await ask("git.example.com", TYPE.SVCB)), NODATA);
  assert.deepEqual(outcome(await ask("_8443._https.git.example.com", TYPE.HTTPS)), NODATA);
  assert.deepEqual(outcome(await ask("git.example.com", TYPE.AAAA)), NODATA);
  assert.deepEqual(outcome(await ask("git.example.com", MX)), NODATA);
  assert.deepEqual(asked, []);
});

test("the names of fake addresses are told, and those of addresses that stand for nothing do not exist", async () => {
  const { ask, asked } = makeService();
  const [, , c, d] = ipv4In(await ask("git.corp.internal"))!.split(".");
  const [, b] = ipv4In(await ask("git.corp.internal"))!.split(".");
  const pointer = await ask(`${d!}.${c!}.${b!}.198.in-addr.arpa`, TYPE.PTR);
  assert.equal(readName(pointer.bytes, pointer.records[0]!.dataStart), "git.corp.internal");
  assert.deepEqual(outcome(await ask("0.0.18.198.in-addr.arpa", TYPE.PTR)), [RCODE.NXDOMAIN, 0]);
  const reversed = `1.${"0.".repeat(28)}0.c.f.ip6.arpa`;
  assert.deepEqual(outcome(await ask(reversed, TYPE.PTR)), [RCODE.NXDOMAIN, 0]);
  assert.deepEqual(asked, []);
  await ask("1.0.0.10.in-addr.arpa", TYPE.PTR);
  assert.equal(asked.length, 1);
});

test("localhost is this machine, and what would take browsers and systems past us is denied", async () => {
  const { ask, asked } = makeService();
  assert.equal(ipv4In(await ask("localhost")), "127.0.0.1");
  assert.equal(addressesIn(await ask("a.localhost", TYPE.AAAA), 6)[0]!.address, "::1");
  assert.deepEqual(outcome(await ask("localhost", MX)), NODATA);
  assert.deepEqual(outcome(await ask("use-application-dns.net")), [RCODE.NXDOMAIN, 0]);
  assert.deepEqual(outcome(await ask("_dns.resolver.arpa", TYPE.SVCB)), NODATA);
  assert.deepEqual(asked, []);
});

test("a default that leads upstream takes every name where all is captured, but those of the local network", async () => {
  const { ask } = makeService({ routes: [], default: "production", cidrs: ["0.0.0.0/0", "::/0"] });
  assert.match(ipv4In(await ask("example.com"))!, /^198\./);
  for (const name of ["printer", "printer.local"]) assert.equal(ipv4In(await ask(name)), "192.0.2.1", name);
  const partly = makeService({ routes: [], default: "production", cidrs: ["10.0.0.0/8"] });
  assert.equal(ipv4In(await partly.ask("example.com")), "192.0.2.1");
});

test("when every fake address is in use a name fails to resolve, and the log says so once", async () => {
  let now = 0;
  const fake = new FakeAddresses({ maxNames: 1, now: () => now });
  const { service, ask, warnings } = makeService({ options: { fake } });
  const address = ipv4In(await ask("a.corp.internal"))!;
  fake.hold(address);
  now = 1e9;
  assert.deepEqual(outcome(await ask("b.corp.internal")), [RCODE.SERVFAIL, 0]);
  assert.deepEqual(outcome(await ask("c.corp.internal")), [RCODE.SERVFAIL, 0]);
  assert.equal(warnings.length, 1);
  assert.equal(service.targetOf(address), "a.corp.internal");
});

test("a fake address that stands for no name is refused with the reason; any other address is itself", () => {
  const { service } = makeService();
  assert.equal(service.targetOf("192.0.2.7"), "192.0.2.7");
  assert.throws(
    () => service.targetOf("198.19.3.4"),
    (error) => error instanceof DialError && error.code === "dns" && error.message.includes("198.19.3.4"),
  );
});

test("a name keeps its address over a reload, and follows the new routes", async () => {
  const { service, ask } = makeService();
  const address = ipv4In(await ask("git.corp.internal"))!;
  const config = {
    routes: [],
    default: "direct",
    tun: { ...defaultTun, dns: "fake-ip" },
  } as const;
  service.update({ config, router: createRouter([], "direct") });
  assert.equal(service.targetOf(address), "git.corp.internal");
  assert.equal(ipv4In(await ask("git.corp.internal")), "192.0.2.1");
});

/** Dials `server` whatever it is asked for, and says what for. */
function dialerTo(server: DnsServer, dialled: string[]): Dialer {
  const direct = new DirectDialer();
  return {
    dial: (target, options) => {
      dialled.push(`${target.host}:${target.port}`);
      return direct.dial(server.endpoint, options);
    },
  };
}

const CAPTURED: Endpoint = { host: "10.0.0.53", port: 53 };
const corpRoutes = [{ match: "10.0.0.0/8", to: "production" }];

test("hijack asks the server that was meant through its upstream, over one connection for all questions", async () => {
  await using server = await DnsServer.start(({ query }) => answerA(query, "10.1.2.3"));
  const dialled: string[] = [];
  const dialer = dialerTo(server, dialled);
  const { service, ask } = makeService({
    mode: "hijack",
    routes: corpRoutes,
    options: { upstream: () => dialer },
  });
  const names = Array.from({ length: 50 }, (_, i) => `host-${i}.corp.internal`);
  const answers = await Promise.all(names.map((name) => ask(name, TYPE.A, CAPTURED)));
  assert.ok(answers.every((answer) => ipv4In(answer) === "10.1.2.3" && answer.id === 9));
  assert.deepEqual(dialled, ["10.0.0.53:53"]);
  assert.equal(server.connections, 1);
  service.close();
  await until("the connection is closed", () => server.sockets.size === 0);
});

test("hijack follows the route of the server: direct asks it directly, block refuses", async () => {
  const routes = [
    { match: "10.0.0.1", to: "direct" },
    { match: "10.0.0.2", to: "block" },
  ];
  const { ask, asked } = makeService({ mode: "hijack", routes });
  assert.equal(ipv4In(await ask("a.example", TYPE.A, { host: "10.0.0.1", port: 53 })), "192.0.2.1");
  assert.equal(rcodeOf(await ask("b.example", TYPE.A, { host: "10.0.0.2", port: 53 })), RCODE.REFUSED);
  assert.deepEqual(asked, ["a.example 1"]);
});

test("other types of a routed name are asked of a server behind an upstream, if that was asked", async () => {
  await using server = await DnsServer.start(({ query }) => answerA(query));
  const routes = [...corpRoutes, { match: "*.corp.internal", to: "production" }];
  const dialer = dialerTo(server, []);
  const { service, ask } = makeService({ routes, options: { upstream: () => dialer } });
  await ask("mail.corp.internal", MX, CAPTURED);
  assert.match(ipv4In(await ask("mail.corp.internal", TYPE.A, CAPTURED))!, /^198\./);
  assert.deepEqual(server.questions, [`tcp mail.corp.internal ${MX}`]);
  service.close();
});

test("a server whose address is a fake one is asked by its name, and one that stands for nothing refused", async () => {
  await using server = await DnsServer.start(({ query }) => answerA(query, "10.1.2.3"));
  const dialled: string[] = [];
  const dialer = dialerTo(server, dialled);
  const { service, ask } = makeService({ options: { upstream: () => dialer } });
  const host = ipv4In(await ask("ns.corp.internal"))!;
  assert.equal(ipv4In(await ask("www.example", TYPE.A, { host, port: 53 })), "10.1.2.3");
  assert.deepEqual(dialled, ["ns.corp.internal:53"]);
  const stale = await ask("www.example", TYPE.A, { host: "198.19.255.1", port: 53 });
  assert.equal(rcodeOf(stale), RCODE.REFUSED);
  service.close();
});

test("a dial that takes longer than one try serves the next", async () => {
  await using server = await DnsServer.start(({ query }) => answerA(query, "10.1.2.3"));
  const direct = new DirectDialer();
  let dials = 0;
  const dialer: Dialer = {
    dial: async (_target, options) => {
      dials += 1;
      await new Promise((resolve) => setTimeout(resolve, 450));
      return direct.dial(server.endpoint, options);
    },
  };
  const options = { upstream: () => dialer, deadlineMs: 800 };
  const { service, ask } = makeService({ mode: "hijack", routes: corpRoutes, options });
  assert.equal(ipv4In(await ask("a.example", TYPE.A, CAPTURED)), "10.1.2.3");
  assert.equal(dials, 1);
  service.close();
});

test("a dial that fails is tried once more, and is SERVFAIL then", async () => {
  let dials = 0;
  const dialer: Dialer = {
    dial: () => Promise.reject(new DialError("refused", `dial ${++dials}`)),
  };
  const { ask } = makeService({ mode: "hijack", routes: corpRoutes, options: { upstream: () => dialer } });
  assert.equal(rcodeOf(await ask("a.example", TYPE.A, CAPTURED)), RCODE.SERVFAIL);
  assert.equal(dials, 2);
});

test("a server that is silent, or that hangs up, costs one deadline and is SERVFAIL", async () => {
  await using silent = await LoopbackServer.start((socket) => socket.resume());
  await using rude = await LoopbackServer.start((socket) => socket.destroy());
  for (const server of [silent, rude]) {
    const direct = new DirectDialer();
    const endpoint = { host: "127.0.0.1", port: server.port };
    const dialer: Dialer = { dial: (_target, options) => direct.dial(endpoint, options) };
    const options = { upstream: () => dialer, deadlineMs: 200 };
    const { service, ask } = makeService({ mode: "hijack", routes: corpRoutes, options });
    assert.equal(rcodeOf(await ask("a.example", TYPE.A, CAPTURED)), RCODE.SERVFAIL);
    service.close();
  }
});

test("a connection that was lost while idle is made again", async () => {
  await using server = await DnsServer.start(({ query }) => answerA(query, "10.1.2.3"));
  const dialer = dialerTo(server, []);
  const { service, ask } = makeService({
    mode: "hijack",
    routes: corpRoutes,
    options: { upstream: () => dialer },
  });
  await ask("a.example", TYPE.A, CAPTURED);
  for (const socket of server.sockets) socket.destroy();
  assert.equal(ipv4In(await ask("b.example", TYPE.A, CAPTURED)), "10.1.2.3");
  assert.equal(server.connections, 2);
  service.close();
});

test("what is no query gets FORMERR or NOTIMP, a response nothing, a transfer and a new EDNS no", async () => {
  const { service, ask } = makeService();
  const send = async (bytes: Buffer) => service.answerDatagram(bytes, OWN);
  assert.equal(await send(Buffer.from("hello")), undefined);
  assert.equal((await send(Buffer.alloc(12)))![3], RCODE.FORMERR, "no question");
  const update = Buffer.from(writeQuery(1, "a", TYPE.A)!);
  update.writeUInt16BE(0x2800, 2);
  assert.equal((await send(update))![3], RCODE.NOTIMP);
  const response = Buffer.from(writeQuery(1, "a", TYPE.A)!);
  response.writeUInt16BE(FLAG.QR, 2);
  assert.equal(await send(response), undefined);
  assert.equal(rcodeOf(await ask("a", TYPE.AXFR)), RCODE.NOTIMP);
  const future = Buffer.from(writeQuery(1, "a", TYPE.A)!);
  future[future.length - 5] = 1;
  assert.equal(rcodeOf(readMessage((await send(future))!)!), RCODE.BADVERS);
});

test("a reload that replaces an upstream loses no question", async () => {
  await using old = await DnsServer.start(() => undefined);
  await using next = await DnsServer.start(({ query }) => answerA(query, "10.1.2.3"));
  let dialer = dialerTo(old, []);
  const { service, ask } = makeService({
    mode: "hijack",
    routes: corpRoutes,
    options: { upstream: () => dialer },
  });
  const first = ask("a.example", TYPE.A, CAPTURED);
  await until("the old one is asked", () => old.heard.length === 1);
  dialer = dialerTo(next, []);
  assert.equal(ipv4In(await ask("b.example", TYPE.A, CAPTURED)), "10.1.2.3");
  assert.equal(ipv4In(await first), "10.1.2.3");
  service.close();
});

test("whatever a client sends and a server answers, there is an answer to the question or none", async () => {
  const real = writeQuery(9, "git.corp.internal", TYPE.A)!;
  const changes = fc.array(fc.tuple(fc.nat(60), fc.nat(255)), { maxLength: 4 });
  const change = (bytes: Buffer, list: readonly (readonly [number, number])[]): Buffer => {
    const changed = Buffer.from(bytes);
    for (const [at, value] of list) if (at < changed.length) changed[at] = value;
    return changed;
  };
  const noise = fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes));
  const sent = fc.oneof(
    noise,
    changes.map((list) => change(real, list)),
  );
  await fc.assert(
    fc.asyncProperty(sent, fc.oneof(noise, changes), fc.boolean(), async (query, answer, fake) => {
      const hostile = (bytes: Buffer): Promise<Buffer> => {
        const asked = readMessage(bytes) as Asked;
        return Promise.resolve(Buffer.isBuffer(answer) ? answer : change(answerA(asked, "6.6.6.6"), answer));
      };
      const { service } = makeService({
        mode: fake ? "fake-ip" : "hijack",
        options: { originals: { key: "o", tries: 1, ask: hostile } },
      });
      const answered = await service.answerDatagram(query, OWN);
      const asked = readMessage(query);
      if (answered === undefined) return;
      assert.deepEqual(answered.subarray(0, 2), query.subarray(0, 2));
      const read = readMessage(answered)!;
      assert.notEqual(read.flags & FLAG.QR, 0);
      assert.ok(answered.length <= 1232);
      if (read.question) assert.equal(read.question.name, asked!.question!.name);
      service.close();
    }),
    { numRuns: 1000 },
  );
});

test("a fake address in somebody else's answer is kept from the application", async () => {
  const foreign = (data: Buffer, type: number) => (query: Buffer) =>
    Promise.resolve(writeAnswer(readMessage(query) as Asked, RCODE.NOERROR, [{ type, ttl: 60, data }]));
  const fake6 = Buffer.from("fc000000000000000000000000000005", "hex");
  for (const [type, data] of [[TYPE.A, Buffer.from([198, 19, 7, 7])] as const, [TYPE.AAAA, fake6] as const]) {
    const originals = { key: "originals", tries: 1, ask: foreign(data, type) };
    const { ask } = makeService({ options: { originals } });
    assert.deepEqual(outcome(await ask("evil.example", type)), NODATA);
  }
});
