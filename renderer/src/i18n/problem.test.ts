import assert from "node:assert/strict";
import { test } from "node:test";
import { parseConfig } from "@sockeye/engine/config/load";
import { de } from "./de/index.ts";
import { en } from "./en/index.ts";
import { problemText } from "./problem.ts";

/** What the engine has against a configuration. */
function problemsIn(config: object) {
  const parsed = parseConfig(JSON.stringify(config), { env: {}, home: "/home/me" });
  assert.ok("errors" in parsed);
  return parsed.errors;
}

test("in English a problem has the engine's sentence", () => {
  for (const problem of problemsIn({ upstreams: { one: { address: "http://x" } }, default: "none" })) {
    assert.equal(problemText(en, problem), problem.message);
  }
});

test("in another language it says what belongs in the place, and the engine's sentence is the detail", () => {
  const problems = problemsIn({
    listen: { socks5: "nowhere" },
    upstreams: { one: { type: "socks5", address: "http://x", pool_size: "many" } },
    routes: [{ match: "10.0.0.0/99", to: "one" }],
    default: "none",
    tun: { cidrs: ["what"] },
  });
  const texts = Object.fromEntries(problems.map((problem) => [problem.path, problemText(de, problem)]));
  assert.match(texts["listen.socks5"]!, /^Hier gehört eine Adresse mit Port hin.*\(.*\)$/);
  assert.match(texts["upstreams.one.address"]!, /^Hier gehört eine Adresse hin.*\(an address is/);
  assert.match(texts["upstreams.one.pool_size"]!, /^Hier gehört eine ganze Zahl hin \(/);
  assert.match(texts["routes[0].match"]!, /^Hier gehört ein Netz, eine Adresse oder ein Name hin.*\(/);
  assert.match(texts["default"]!, /^Hier gehört ein Upstream hin, den es gibt.*\(/);
  assert.match(texts["tun.cidrs[0]"]!, /^Hier gehören Netze hin.*\(/);
});

test("an entry as a whole, the text itself and a place without words of its own are told, too", () => {
  const told = (path: string) => problemText(de, { path, message: "why" });
  // An upstream may be called like a key.
  assert.equal(told("upstreams.address"), "Dieser Eintrag ist so nicht richtig (why)");
  assert.equal(told(""), "Der Text lässt sich so nicht als Konfiguration lesen (why)");
  assert.equal(told("limits.toString"), "So ist das nicht richtig (why)");
});
