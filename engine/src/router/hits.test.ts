import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { RouteHits } from "./hits.ts";
import { createRouter } from "./router.ts";

const target = (host: string) => ({ host, port: 443 });

describe("hits", () => {
  it("are counted for the rule that decided, or for the default", () => {
    const routes = [
      { match: "10.0.0.0/8", to: "a" },
      { match: "*.corp", to: "b" },
    ];
    const router = createRouter(routes, "direct");
    const hits = new RouteHits();
    hits.adopt(routes, "direct");
    for (const host of ["10.1.2.3", "www.corp", "10.0.0.1", "example.com"])
      hits.count(router.route(target(host)));
    assert.deepEqual(hits.numbers(), {
      routes: [
        { match: "10.0.0.0/8", to: "a", hits: 2 },
        { match: "*.corp", to: "b", hits: 1 },
      ],
      default: { to: "direct", hits: 1 },
    });
  });

  it("stay with a rule that moves, and begin anew with one that changes", () => {
    const hits = new RouteHits();
    const [a, b, twice] = [
      { match: "a", to: "x" },
      { match: "b", to: "x" },
      { match: "a", to: "x" },
    ];
    hits.adopt([a, b, twice], "direct");
    for (const rule of [0, 0, 1, 2, undefined]) hits.count({ to: "x", rule });
    const before = hits.version;
    hits.adopt([{ match: "b", to: "y" }, a, { match: "c", to: "x" }, twice], "direct");
    assert.notEqual(hits.version, before);
    const { routes, default: fallback } = hits.numbers();
    assert.deepEqual(
      routes.map((route) => route.hits),
      [0, 2, 0, 1],
    );
    assert.equal(fallback.hits, 1);
    hits.adopt([], "x");
    assert.deepEqual(hits.numbers(), { routes: [], default: { to: "x", hits: 0 } });
  });

  it("of 100,000 rules are carried through a reload in well under a second", () => {
    const routes = Array.from({ length: 100_000 }, (_, i) => ({ match: `host-${i}.example`, to: "x" }));
    const hits = new RouteHits();
    hits.adopt(routes, "direct");
    hits.count({ to: "x", rule: 99_999 });
    const started = process.cpuUsage();
    hits.adopt([...routes].reverse(), "direct");
    const { user, system } = process.cpuUsage(started);
    assert.ok((user + system) / 1e6 < 1, `${(user + system) / 1e6} s`);
    assert.equal(hits.numbers().routes[0]!.hits, 1);
  });
});
