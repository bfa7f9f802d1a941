import assert from "node:assert/strict";
import { test } from "node:test";
import { StubApp } from "../test/electron-stub.ts";
import { claimLinks, isLink, linksIn } from "./links.ts";

test("a link is found among a program's arguments, and nothing else is one", () => {
  assert.deepEqual(linksIn(["/opt/sockeye", "--hidden", "sockeye://import?url=ssh%3A%2F%2Fa", "file"]), [
    "sockeye://import?url=ssh%3A%2F%2Fa",
  ]);
  for (const text of [
    "https://example.com",
    "sockeye:",
    "--sockeye://x",
    " sockeye://x",
    "sockeye://a\nb",
    "sockeye://a\u202eb",
    "sockeye://a\u200bb",
    `sockeye://${"a".repeat(70_000)}`,
  ])
    assert.equal(isLink(text), false, text.slice(0, 40));
  assert.equal(isLink("SOCKEYE://Import"), true);
});

test("a flood of arguments is not looked through", () => {
  assert.deepEqual(linksIn([...Array.from({ length: 100 }, () => "x"), "sockeye://a"]), []);
});

test("only an installed build takes the links over", () => {
  const app = new StubApp("/");
  claimLinks(app);
  assert.deepEqual(app.calls, []);
  app.isPackaged = true;
  claimLinks(app);
  assert.deepEqual(app.calls, ["protocol client sockeye"]);
});
