import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import type { Endpoint } from "../endpoint.ts";
import { abortReason, DialError } from "../errors.ts";
import type { Dialer, DialOptions } from "../upstream/dialer.ts";
import { DirectDialer } from "../upstream/direct.ts";
import { Reachability } from "./reachability.ts";

/** A dialer whose hosts do what `behave` says of each target. */
function fake(behave: (target: Endpoint) => "accept" | "refuse" | "fail" | "silent") {
  const dialled: string[] = [];
  const dialer: Dialer = {
    dial: (target: Endpoint, { signal }: DialOptions) => {
      dialled.push(`${target.host}:${target.port}`);
      switch (behave(target)) {
        case "accept":
          return Promise.resolve(new PassThrough());
        case "refuse":
          return Promise.reject(new DialError("refused", "it refuses"));
        case "fail":
          return Promise.reject(new DialError("unreachable", "no way"));
        case "silent":
          return new Promise((_, reject) =>
            signal.addEventListener("abort", () => reject(abortReason(signal))),
          );
      }
    },
  };
  return { dialer, dialled };
}

test("a host that accepts or refuses is there; one that nobody reaches is not", async () => {
  const { dialer } = fake(({ host }) => (host === "a" ? "accept" : host === "b" ? "refuse" : "fail"));
  const reachability = new Reachability({ dialer: () => dialer });
  assert.equal(await reachability.ask("a"), true);
  assert.equal(await reachability.ask("b"), true);
  assert.equal(await reachability.ask("c"), false);
});

test("one port that answers is enough where others are silent", async () => {
  const { dialer } = fake(({ port }) => (port === 22 ? "refuse" : "silent"));
  assert.equal(await new Reachability({ dialer: () => dialer }).ask("a"), true);
});

test("a host that is silent is not there, after three seconds at most", async () => {
  const { dialer } = fake(() => "silent");
  const started = performance.now();
  assert.equal(await new Reachability({ dialer: () => dialer }).ask("a"), false);
  assert.ok(performance.now() - started < 10_000);
});

test("a proxy that can't be reached says nothing of the host", async () => {
  const dialer: Dialer = {
    dial: () => Promise.reject(new DialError("refused", "the proxy is down", { scope: "upstream" })),
  };
  assert.equal(await new Reachability({ dialer: () => dialer }).ask("a"), false);
});

test("what a route blocks is not there, and nothing is dialled", async () => {
  assert.equal(await new Reachability({ dialer: () => undefined }).ask("a"), false);
});

test("an answer is kept for a while, then asked for again; a flood of hosts is bounded", async () => {
  const { dialer, dialled } = fake(() => "refuse");
  let now = 0;
  const reachability = new Reachability({ dialer: () => dialer, now: () => now });
  await Promise.all([reachability.ask("a"), reachability.ask("a")]);
  await reachability.ask("a");
  assert.equal(dialled.length, 3);
  now = 10_001;
  await reachability.ask("a");
  assert.equal(dialled.length, 6);
  const answers = await Promise.all(Array.from({ length: 1000 }, (_, i) => reachability.ask(`h${i}`)));
  assert.equal(answers.filter((yes) => yes).length, 255);
  now = 20_002;
  assert.equal(await reachability.ask("h999"), true);
});

test("a real host is there although nothing listens", async () => {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { address } = server.address() as AddressInfo;
  server.close();
  const direct = new DirectDialer();
  assert.equal(await new Reachability({ dialer: () => direct }).ask(address), true);
});
