import assert from "node:assert/strict";
import { test } from "node:test";
import { deletionOf, referencesTo } from "./save.ts";

test("deleting says who leads there, and sends that elsewhere", () => {
  const config = {
    upstreams: { a: {}, b: { via: "a" } },
    routes: [
      { match: "x.example", to: "a" },
      { match: "y.example", to: "b" },
    ],
    default: "a",
  };
  assert.deepEqual(referencesTo(config, "a"), { rules: 1, isDefault: true, viaOf: ["b"] });
  assert.deepEqual(deletionOf(config, "a", "block"), [
    {
      kind: "set-routes",
      routes: [
        { match: "x.example", to: "block" },
        { match: "y.example", to: "b" },
      ],
    },
    { kind: "set-default", to: "block" },
    { kind: "delete-upstream", name: "a" },
  ]);
  assert.deepEqual(deletionOf(config, "c", "block"), [{ kind: "delete-upstream", name: "c" }]);
});
