import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { once } from "node:events";
import { after, before, describe, it } from "node:test";
import { defaultTun } from "@sockeye/engine/config/defaults";
import { DnsService } from "@sockeye/engine/dns/service";
import { askDirectly } from "@sockeye/engine/dns/over-udp";
import { StubResolver } from "@sockeye/engine/dns/stub-resolver";
import type { Endpoint } from "@sockeye/engine/endpoint";
import { createRouter } from "@sockeye/engine/router/router";
import { DirectDialer } from "@sockeye/engine/upstream/direct";
import type { Dialer } from "@sockeye/engine/upstream/dialer";
import { startDnsmasq, type Dnsmasq } from "../peers/dnsmasq.ts";
import { LoopbackServer } from "../peers/loopback.ts";
import { skipWithout } from "../peers/peer-process.ts";

const OWN: Endpoint = { host: "198.18.0.2", port: 53 };
const CAPTURED: Endpoint = { host: "10.0.0.53", port: 53 };

/** What the TUN inbound does with port 53, on ports of loopback: datagrams and connections as if sent to `server`. */
class Front implements AsyncDisposable {
  readonly #udp: UdpSocket;
  readonly #tcp: LoopbackServer;

  private constructor(udp: UdpSocket, tcp: LoopbackServer) {
    this.#udp = udp;
    this.#tcp = tcp;
  }

  static async start(service: DnsService, server: Endpoint): Promise<Front> {
    const tcp = await LoopbackServer.start((socket) => service.serve(socket, server));
    const udp = createSocket("udp4", (query, from) => {
      void service.answerDatagram(query, server).then((answer) => {
        if (answer) udp.send(answer, from.port, from.address);
      });
    });
    udp.bind(tcp.port, "127.0.0.1");
    await once(udp, "listening");
    return new Front(udp, tcp);
  }

  /** What dig prints. */
  dig(...args: string[]): Promise<string> {
    const all = ["@127.0.0.1", "-p", String(this.#tcp.port), "+time=3", "+tries=1", ...args];
    return new Promise((resolve, reject) => {
      execFile("dig", all, { env: { PATH: process.env["PATH"], HOME: "/nonexistent" } }, (error, stdout) => {
        if (error) reject(new Error(`dig ${args.join(" ")}: ${stdout}`, { cause: error }));
        else resolve(stdout);
      });
    });
  }

  /** The lines of `dig +short`. */
  async short(...args: string[]): Promise<string[]> {
    return (await this.dig("+short", ...args)).split("\n").filter((line) => line !== "");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#udp.close();
    await this.#tcp[Symbol.asyncDispose]();
  }
}

const longTexts = Array.from(
  { length: 30 },
  (_, i) => `txt-record=big.example,"${`${i} `.padEnd(200, "x")}"`,
);
const records = [
  "local=/example/",
  "auth-ttl=60",
  "local-ttl=120",
  "host-record=a.example,10.1.2.3,fd00::3",
  "cname=alias.example,a.example",
  "mx-host=example,a.example,10",
  "srv-host=_ldap._tcp.example,a.example,389",
  "ptr-record=3.2.1.10.in-addr.arpa,a.example",
  ...longTexts,
];

describe("DNS, asked by dig, with dnsmasq behind", { skip: skipWithout("dig", "dnsmasq") }, () => {
  let peer: Dnsmasq;
  before(async () => (peer = await startDnsmasq(records)));
  after(() => peer.stop());

  function makeService(dns: "hijack" | "fake-ip"): DnsService {
    const direct = new DirectDialer();
    const upstream: Dialer = { dial: (_target, options) => direct.dial(peer, options) };
    const routes = [
      { match: "*.corp.internal", to: "production" },
      { match: "10.0.0.0/8", to: "production" },
    ];
    const stub = stubFor(peer);
    return new DnsService({
      config: { routes, default: "direct", tun: { ...defaultTun, cidrs: ["10.0.0.0/8"], dns } },
      router: createRouter(routes, "direct"),
      upstream: () => upstream,
      askDirectly: askDirectly(),
      originals: stub.nameservers,
      log: { debug: () => {}, info: () => {}, warn: () => {} },
    });
  }

  it("passes questions of many types to the server behind the upstream and the answers back", async () => {
    const service = makeService("hijack");
    await using front = await Front.start(service, CAPTURED);
    assert.deepEqual(await front.short("a.example"), ["10.1.2.3"]);
    assert.deepEqual(await front.short("a.example", "AAAA"), ["fd00::3"]);
    assert.deepEqual(await front.short("alias.example"), ["a.example.", "10.1.2.3"]);
    assert.deepEqual(await front.short("example", "MX"), ["10 a.example."]);
    assert.deepEqual(await front.short("_ldap._tcp.example", "SRV"), ["0 0 389 a.example."]);
    assert.deepEqual(await front.short("-x", "10.1.2.3"), ["a.example."]);
    assert.match(await front.dig("nothing.example"), /status: NXDOMAIN/);
    assert.match(await front.dig("example", "TYPE65280"), /status: NOERROR[^]*ANSWER: 0/);
    assert.match(await front.dig("version.bind", "CH", "TXT"), /dnsmasq/);
    service.close();
  });

  it("keeps answers, their TTL counting down, and says the same to equal questions spelled otherwise", async () => {
    const service = makeService("hijack");
    await using front = await Front.start(service, CAPTURED);
    const ttl = async (name: string) =>
      Number(/\s(\d+)\s+IN\s+A\s/.exec(await front.dig("+noall", "+answer", name))?.[1]);
    assert.equal(await ttl("a.example"), 120);
    await new Promise((resolve) => setTimeout(resolve, 1100));
    const later = await ttl("A.eXample");
    assert.ok(later < 120 && later > 100, `${later}`);
    service.close();
  });

  it("cuts an answer that is too long for a datagram, and gives the whole of it by TCP", async () => {
    const service = makeService("hijack");
    await using front = await Front.start(service, CAPTURED);
    const cut = await front.dig("+ignore", "+bufsize=4096", "big.example", "TXT");
    assert.match(cut, /flags:[a-z ]* tc/);
    assert.match(cut, /ANSWER: 0/);
    const whole = await front.dig("big.example", "TXT");
    assert.match(whole, /Truncated, retrying in TCP mode/);
    assert.match(whole, /ANSWER: 30/);
    const pipelined = await front.short("+tcp", "+keepopen", "a.example", "+tcp", "+keepopen", "a.example");
    assert.deepEqual(pipelined, ["10.1.2.3", "10.1.2.3"]);
    service.close();
  });

  it("hands out fake addresses for routed names and the truth for others", async () => {
    const service = makeService("fake-ip");
    await using front = await Front.start(service, OWN);
    const [ipv4] = await front.short("git.corp.internal");
    const [ipv6] = await front.short("git.corp.internal", "AAAA");
    assert.equal(service.targetOf(ipv4!), "git.corp.internal");
    assert.equal(service.targetOf(ipv6!), "git.corp.internal");
    assert.deepEqual(await front.short("-x", ipv4!), ["git.corp.internal."]);
    assert.deepEqual(await front.short("-x", ipv6!), ["git.corp.internal."]);
    assert.match(await front.dig("git.corp.internal", "HTTPS"), /status: NOERROR[^]*ANSWER: 0/);
    assert.match(await front.dig("use-application-dns.net"), /status: NXDOMAIN/);
    assert.deepEqual(await front.short("a.example"), ["10.1.2.3"]);
    assert.match(await front.dig("big.example", "TXT"), /ANSWER: 30/);
    service.close();
  });

  it("understands dig's EDNS, cookies and flags", async () => {
    const service = makeService("hijack");
    await using front = await Front.start(service, CAPTURED);
    assert.match(await front.dig("+dnssec", "+cdflag", "a.example"), /flags: do;/);
    assert.doesNotMatch(await front.dig("+noedns", "a.example"), /OPT PSEUDOSECTION/);
    assert.match(await front.dig("+edns=1", "+noednsneg", "a.example"), /status: BADVERS/);
    assert.match(await front.dig("+opcode=notify", "a.example"), /status: NOTIMP/);
    service.close();
  });

  it("resolves by its own stub: addresses, aliases, and no such name", async () => {
    const stub = stubFor(peer);
    assert.deepEqual(
      (await stub.lookup("alias.example")).map(({ address }) => address),
      ["fd00::3", "10.1.2.3"],
    );
    await assert.rejects(stub.lookup("nothing.example"), { code: "ENOTFOUND" });
  });
});

function stubFor({ host, port }: Dnsmasq): StubResolver {
  return new StubResolver({ resolvConf: `nameserver ${host}`, port });
}
