import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { answerA, DnsServer, type Script } from "../../../test/peers/dns-server.ts";
import { RCODE, rcodeOf, FLAG, readMessage, writeQuery } from "../dns/message.ts";
import type { Endpoint } from "../endpoint.ts";
import { DialError } from "../errors.ts";
import type { DatagramPort } from "../inbound/request.ts";
import { createLogger } from "../observe/log.ts";
import { Metrics } from "../observe/metrics.ts";
import { RouteHits } from "../router/hits.ts";
import { createRouter } from "../router/router.ts";
import { DirectDialer } from "../upstream/direct.ts";
import type { Dialer, UdpAssociation, UdpDialer, UdpReceiver } from "../upstream/dialer.ts";
import { DialDeadlines } from "./connect.ts";
import { associate, type DatagramContext } from "./datagrams.ts";
import { DnsCarrier } from "./dns-carrier.ts";
import { FlowTable } from "./table.ts";
import { UdpSupport } from "./udp-support.ts";

const opened: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
});

const nameServer: Endpoint = { host: "10.9.0.53", port: 53 };
const elsewhere: Endpoint = { host: "10.9.0.1", port: 443 };

/** An application's UDP socket that hears errors, as behind the TUN device. */
class Port implements DatagramPort {
  readonly inbound = "tun";
  readonly source: Endpoint;
  onDatagram: (target: Endpoint, payload: Buffer) => void = () => {};
  onClose: () => void = () => {};
  readonly delivered: { source: Endpoint; payload: Buffer }[] = [];
  readonly refused: { target: Endpoint; code: string }[] = [];

  constructor(port: number) {
    this.source = { host: "10.0.0.2", port };
  }

  deliver(source: Endpoint, payload: Buffer): void {
    this.delivered.push({ source, payload });
  }

  refuse(target: Endpoint, error: DialError): void {
    this.refused.push({ target, code: error.code });
  }

  close(): void {}
}

/** Everything of 10.9.0.0/16 goes to `upstream`, and 10.8.0.0/16 nowhere. */
function contextOf(upstream: Dialer, deadlineMs = 8000): DatagramContext {
  const metrics = new Metrics("0.0.0-test");
  metrics.declare("upstream");
  const table = new FlowTable({ idle_timeout: 0, half_close_timeout: 0, udp_idle_timeout: 0 }, metrics);
  const support = new UdpSupport();
  const dns = new DnsCarrier(support, { deadlineMs });
  const router = createRouter(
    [
      { match: "10.9.0.0/16", to: "upstream" },
      { match: "10.8.0.0/16", to: "block" },
    ],
    "direct",
  );
  opened.push(
    () => table.close(),
    () => dns.close(),
  );
  return {
    table,
    observer: metrics,
    log: createLogger({ level: "silent", format: "json" }),
    router: () => router,
    dialer: () => upstream,
    dialTimeoutMs: () => 2000,
    dialDeadlines: new DialDeadlines(),
    requestId: (flow) => String(flow),
    hits: new RouteHits(),
    dns,
    udp: support,
  };
}

function portOn(context: DatagramContext, number: number): Port {
  const port = new Port(number);
  associate(context, port);
  opened.push(() => port.onClose());
  return port;
}

async function until(condition: () => boolean): Promise<void> {
  for (let tries = 0; !condition(); tries++) {
    assert.ok(tries < 1000, "it did not happen");
    await sleep(5);
  }
}

/** A name server, and an upstream without UDP that leads to it whatever the target. */
async function behindTcp(
  script: Script,
): Promise<{ server: DnsServer; upstream: Dialer; dialled: Endpoint[] }> {
  const server = await DnsServer.start(script);
  opened.push(() => server[Symbol.asyncDispose]());
  const direct = new DirectDialer();
  const dialled: Endpoint[] = [];
  const dial: Dialer["dial"] = (target, options) => {
    dialled.push(target);
    return direct.dial(server.endpoint, options);
  };
  return { server, upstream: { dial }, dialled };
}

const ask = (id: number, name = "a.example"): Buffer => writeQuery(id, name, 1)!;

describe("DNS through an upstream without UDP", () => {
  it("goes over one TCP connection for all applications and questions, and answers come from the server asked", async () => {
    const { server, upstream, dialled } = await behindTcp(({ query }) => answerA(query, "192.0.2.7"));
    const context = contextOf(upstream);
    const ports = Array.from({ length: 40 }, (_, i) => portOn(context, 1000 + i));
    for (const port of ports) {
      // As glibc does: two questions at once, from a port of their own.
      port.onDatagram(nameServer, ask(7, `${port.source.port}.example`));
      port.onDatagram(nameServer, ask(8, `${port.source.port}.test`));
    }
    await until(() => ports.every(({ delivered }) => delivered.length === 2));
    assert.equal(server.connections, 1);
    assert.deepEqual(dialled, [nameServer]);
    for (const { delivered, source, refused } of ports) {
      const names = delivered.map(({ payload }) => {
        const answer = readMessage(payload)!;
        return `${answer.id} ${answer.question?.name} ${rcodeOf(answer)}`;
      });
      assert.deepEqual(names.sort(), [`7 ${source.port}.example 0`, `8 ${source.port}.test 0`]);
      assert.ok(delivered.every((one) => one.source.host === nameServer.host && one.source.port === 53));
      assert.deepEqual(refused, []);
    }
  });

  it("is asked again, once, where the server closes the connection under a question", async () => {
    let cut = 0;
    const { server, upstream } = await behindTcp(({ query }) => {
      if (cut++ > 0) return answerA(query, "192.0.2.7");
      for (const socket of server.sockets) socket.destroy();
      return undefined;
    });
    const port = portOn(contextOf(upstream), 1);
    port.onDatagram(nameServer, ask(1));
    await until(() => port.delivered.length === 1);
    assert.equal(rcodeOf(readMessage(port.delivered[0]!.payload)!), RCODE.NOERROR);
    assert.equal(server.connections, 2);
  });

  it("answers SERVFAIL where the dial fails, in no time, and where no answer comes, after its deadline", async () => {
    const dial: Dialer["dial"] = () => Promise.reject(new DialError("refused", "no"));
    const failing = portOn(contextOf({ dial }), 1);
    failing.onDatagram(nameServer, ask(1));
    await until(() => failing.delivered.length === 1);
    const { upstream } = await behindTcp(() => undefined);
    const silent = portOn(contextOf(upstream, 100), 2);
    silent.onDatagram(nameServer, ask(2));
    await until(() => silent.delivered.length === 1);
    for (const { delivered } of [failing, silent]) {
      assert.equal(rcodeOf(readMessage(delivered[0]!.payload)!), RCODE.SERVFAIL);
    }
  });

  it("cuts an answer that the application's datagrams can't hold, so that it asks by TCP", async () => {
    const many = Array.from({ length: 200 }, (_, i) => `192.0.2.${i}`);
    const { upstream } = await behindTcp(({ query }) => answerA(query, ...many));
    const port = portOn(contextOf(upstream), 1);
    port.onDatagram(nameServer, ask(1));
    await until(() => port.delivered.length === 1);
    const { payload } = port.delivered[0]!;
    assert.ok(payload.length <= 1232);
    assert.ok((readMessage(payload)!.flags & FLAG.TC) !== 0);
  });

  it("keeps a bounded number of questions waiting, and drops what is no question", async () => {
    const { server, upstream } = await behindTcp(() => undefined);
    const port = portOn(contextOf(upstream, 2000), 1);
    port.onDatagram(nameServer, Buffer.from("no DNS at all"));
    port.onDatagram(nameServer, Buffer.alloc(0));
    const response = ask(9);
    response[2]! |= 0x80;
    port.onDatagram(nameServer, response);
    // The association opens at the end of this turn, and no more than it holds until then is kept.
    await sleep(0);
    for (let i = 0; i < 500; i++) port.onDatagram(nameServer, ask(i, `${i}.example`));
    const heard = () => new Set(server.heard.map(({ query }) => query.question.name)).size;
    await until(() => heard() === 64);
    await until(() => port.delivered.length === 64);
    assert.equal(heard(), 64);
  });

  it("forgets the questions of an application that has gone", async () => {
    const { server, upstream } = await behindTcp(() => undefined);
    const context = contextOf(upstream);
    const port = portOn(context, 1);
    port.onDatagram(nameServer, ask(1));
    await until(() => server.heard.length === 1);
    assert.equal(context.table.size, 1);
    port.onClose();
    assert.equal(context.table.size, 0);
    port.onDatagram(nameServer, ask(2));
    assert.equal(context.table.size, 0);
  });
});

describe("datagrams that can't be carried", () => {
  it("are refused at once, each of them: no UDP, or blocked", () => {
    const context = contextOf({ dial: () => Promise.reject(new Error("nobody dials")) });
    const port = portOn(context, 1);
    for (let i = 0; i < 3; i++) port.onDatagram(elsewhere, Buffer.from("QUIC"));
    port.onDatagram({ host: "10.8.0.1", port: 53 }, ask(1));
    assert.deepEqual(
      port.refused.map(({ target, code }) => [target.host, code]),
      [
        [elsewhere.host, "unsupported"],
        [elsewhere.host, "unsupported"],
        [elsewhere.host, "unsupported"],
        ["10.8.0.1", "blocked"],
      ],
    );
    assert.equal(context.table.size, 0);
  });

  it("are refused when their association fails", async () => {
    const udp: UdpDialer = { associate: () => Promise.reject(new DialError("refused", "no")) };
    const dial: Dialer["dial"] = () => Promise.reject(new Error("nobody dials"));
    const port = portOn(contextOf({ dial, udp }), 1);
    port.onDatagram(elsewhere, Buffer.from("one"));
    port.onDatagram(elsewhere, Buffer.from("two"));
    await until(() => port.refused.length === 2);
    assert.deepEqual(new Set(port.refused.map(({ code }) => code)), new Set(["refused"]));
  });

  it("go another way once an upstream has said that it has no UDP after all, and it is not asked again", async () => {
    const { upstream } = await behindTcp(({ query }) => answerA(query, "192.0.2.7"));
    let asked = 0;
    const udp: UdpDialer = {
      associate: async () => {
        asked++;
        throw new DialError("unsupported", "the proxy has no UDP ASSOCIATE");
      },
    };
    const context = contextOf({ ...upstream, udp });
    const port = portOn(context, 1);
    port.onDatagram(nameServer, ask(1));
    port.onDatagram(elsewhere, Buffer.from("QUIC"));
    await until(() => port.delivered.length === 1 && port.refused.length === 1);
    const askedAtFirst = asked;
    const other = portOn(context, 2);
    other.onDatagram(nameServer, ask(2));
    other.onDatagram(elsewhere, Buffer.from("QUIC"));
    assert.equal(other.refused.length, 1);
    await until(() => other.delivered.length === 1);
    assert.equal(asked, askedAtFirst);
  });
});

describe("datagrams through an upstream with UDP", () => {
  /** An upstream whose associations answer every question from its server, and say what was sent. */
  function withUdp() {
    const receivers: UdpReceiver[] = [];
    const sent: string[] = [];
    const closed: UdpReceiver[] = [];
    const udp: UdpDialer = {
      associate: async (receiver): Promise<UdpAssociation> => {
        receivers.push(receiver);
        return {
          send: (target, payload) => {
            sent.push(`${target.host}:${target.port}`);
            const query = readMessage(payload);
            if (target.port !== 53 || !query?.question) return;
            const stranger = writeQuery(query.id, "another.example", 1)!;
            stranger[2]! |= 0x80;
            receiver.onDatagram(target, stranger);
            receiver.onDatagram(target, answerA({ ...query, question: query.question }, "192.0.2.7"));
          },
          close: () => {
            closed.push(receiver);
            receiver.onClose();
          },
        };
      },
    };
    const dial: Dialer["dial"] = () => Promise.reject(new Error("nobody dials"));
    return { upstream: { dial, udp }, receivers, sent, closed };
  }

  it("share one association for each source, however many they are and wherever they go", async () => {
    const { upstream, receivers, sent } = withUdp();
    const port = portOn(contextOf(upstream), 1);
    for (let i = 0; i < 50; i++) port.onDatagram({ ...elsewhere, port: 400 + i }, Buffer.from("x"));
    await until(() => sent.length === 50);
    assert.equal(receivers.length, 1);
    receivers[0]!.onDatagram(elsewhere, Buffer.from("answer"));
    assert.equal(port.delivered.length, 1);
  });

  it("share one association for all DNS, whatever port a question comes from, and hear only their own answers", async () => {
    const { upstream, receivers, closed } = withUdp();
    const context = contextOf(upstream);
    const ports = Array.from({ length: 100 }, (_, i) => portOn(context, 1000 + i));
    for (const port of ports) {
      // The same id for all: they must not be taken for one another's.
      port.onDatagram(nameServer, ask(7, `${port.source.port}.example`));
    }
    await until(() => ports.every(({ delivered }) => delivered.length === 1));
    assert.equal(receivers.length, 1);
    for (const { delivered, source } of ports) {
      const answer = readMessage(delivered[0]!.payload)!;
      assert.deepEqual([answer.id, answer.question?.name, rcodeOf(answer)], [7, `${source.port}.example`, 0]);
      assert.deepEqual(delivered[0]!.source, nameServer);
    }
    context.dns.close();
    assert.deepEqual(closed, receivers);
  });

  it("answer SERVFAIL to questions whose association ends, and open another for the next", async () => {
    const receivers: UdpReceiver[] = [];
    const udp: UdpDialer = {
      associate: async (receiver): Promise<UdpAssociation> => {
        receivers.push(receiver);
        return { send: () => receiver.onClose(), close: () => receiver.onClose() };
      },
    };
    const dial: Dialer["dial"] = () => Promise.reject(new Error("nobody dials"));
    const port = portOn(contextOf({ dial, udp }), 1);
    for (let i = 1; i <= 2; i++) {
      port.onDatagram(nameServer, ask(i));
      await until(() => port.delivered.length === i);
      assert.equal(rcodeOf(readMessage(port.delivered[i - 1]!.payload)!), RCODE.SERVFAIL);
    }
    assert.equal(receivers.length, 2);
  });
});
