import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import { type AddressInfo } from "node:net";
import { networkInterfaces } from "node:os";
import { after, before, describe, it } from "node:test";
import { promisify } from "node:util";
import { formatEndpoint } from "@sockeye/engine";
import { type EngineUnderTest, startEngineUnderTest } from "./engine-under-test.ts";
import { type Peers, skipWithoutPeers, startPeers } from "./peers.ts";

const run = promisify(execFile);
const kinds = ["direct", "ssh", "socks5", "http"] as const;
/** By curl: how each inbound is asked for an address, and for a name that it is to resolve. */
const ways = {
  "SOCKS5, which carries the address": (sut: EngineUnderTest) => [
    "--proxy",
    `socks5://${formatEndpoint(sut.socks5)}`,
  ],
  "SOCKS5, which carries the name": (sut: EngineUnderTest) => [
    "--proxy",
    `socks5h://${formatEndpoint(sut.socks5)}`,
  ],
  SOCKS4a: (sut: EngineUnderTest) => ["--proxy", `socks4a://${formatEndpoint(sut.socks5)}`],
  "HTTP, forwarded": (sut: EngineUnderTest) => ["--proxy", `http://${formatEndpoint(sut.http)}`],
  "HTTP, by CONNECT": (sut: EngineUnderTest) => [
    "--proxy",
    `http://${formatEndpoint(sut.http)}`,
    "--proxytunnel",
  ],
};
const noLoopback6 = !Object.values(networkInterfaces()).some((list) =>
  list?.some(({ address }) => address === "::1"),
);
const skip = skipWithoutPeers() || (noLoopback6 && "this machine has no ::1");

describe("targets by IPv4, IPv6 and name, from listeners on IPv6", { skip }, () => {
  let peers: Peers;
  let sut: EngineUnderTest;
  let port: number;
  const web = createServer((request, response) => void response.end(`you asked ${request.headers.host}`));

  before(async () => {
    web.listen(0, "::");
    await once(web, "listening");
    port = (web.address() as AddressInfo).port;
    peers = await startPeers();
    sut = await startEngineUnderTest(configuration("direct"));
  });
  after(async () => {
    await sut[Symbol.asyncDispose]();
    await peers[Symbol.asyncDispose]();
    web.close();
    web.closeAllConnections();
  });

  const configuration = (upstream: string) => ({
    listen: { socks5: "[::1]:0", http: "[::1]:0" },
    upstreams: peers.upstreams,
    default: upstream,
  });

  for (const kind of kinds) {
    for (const [way, proxy] of Object.entries(ways)) {
      it(`${way} → ${kind}`, async () => {
        await sut.reconfigure(configuration(kind));
        // SOCKS4 has no IPv6.
        const hosts = way === "SOCKS4a" ? ["127.0.0.1", "localhost"] : ["127.0.0.1", "[::1]", "localhost"];
        for (const host of hosts) {
          const url = `http://${host}:${port}/`;
          const { stdout } = await run("curl", [
            "-sS",
            "--max-time",
            "20",
            "--noproxy",
            "",
            ...proxy(sut),
            url,
          ]);
          assert.equal(stdout, `you asked ${host}:${port}`);
        }
      });
    }
  }
});
