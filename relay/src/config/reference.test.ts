import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { configKeys } from "./keys.ts";

const reference = readFileSync(new URL("../../../docs/relay-configuration.md", import.meta.url), "utf8");

/** The cells of the table's rows, without the spaces around them. */
const rows = reference
  .split("\n")
  .filter((line) => line.startsWith("| `"))
  .map((line) =>
    line
      .split(/(?<!\\)\|/)
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );

test("the reference has a row for every key in the schema's order, with its flag, variable and default", () => {
  const expected = configKeys.map((key) => [
    `\`${key.path.join(".")}\``,
    `\`${key.flag}\``,
    `\`${key.variable}\``,
    describeDefault(key.default),
    key.help,
  ]);
  assert.deepEqual(rows, expected);
});

function describeDefault(value: unknown): string {
  if (Array.isArray(value)) return value.length === 0 ? "" : `\`${value.join()}\``;
  return value === undefined ? "" : `\`${String(value)}\``;
}
