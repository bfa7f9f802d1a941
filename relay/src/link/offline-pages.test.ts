import assert from "node:assert/strict";
import { test } from "node:test";
import { OfflinePages } from "./offline-pages.ts";

const address = (name: string) => ({ kind: "http", name }) as const;

test("a page is there until its client is back, or for an hour", () => {
  let now = 0;
  const pages = new OfflinePages(() => now);
  pages.keep(address("demo"), Buffer.from("away"));
  assert.equal(pages.of(address("demo"))?.toString(), "away");
  assert.equal(pages.of(address("other")), undefined);
  now = 60 * 60_000;
  assert.equal(pages.of(address("demo")), undefined);
  pages.keep(address("demo"), Buffer.from("again"));
  pages.forget(address("demo"));
  assert.equal(pages.of(address("demo")), undefined);
});

test("all pages together have a cap, and the oldest make room", () => {
  const pages = new OfflinePages();
  const page = Buffer.alloc(1_048_576);
  for (let i = 0; i < 20; i++) pages.keep(address(`name${i}`), page);
  assert.equal(pages.of(address("name0")), undefined);
  assert.equal(pages.of(address("name3")), undefined);
  assert.equal(pages.of(address("name4")), page);
  assert.equal(pages.of(address("name19")), page);
});
