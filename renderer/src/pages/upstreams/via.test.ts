import assert from "node:assert/strict";
import { test } from "node:test";
import { possibleVia } from "./via.ts";

test("an upstream can't be reached through itself, nor through what leads back to it", () => {
  const upstreams = [
    { name: "direct" },
    { name: "a", via: "b" },
    { name: "b" },
    { name: "c", via: "a" },
    { name: "x", via: "y" },
    { name: "y", via: "x" },
  ];
  assert.deepEqual(possibleVia("b", upstreams), ["x", "y"]);
  assert.deepEqual(possibleVia("c", upstreams), ["a", "b", "x", "y"]);
  assert.deepEqual(possibleVia("", upstreams), ["a", "b", "c", "x", "y"]);
});
