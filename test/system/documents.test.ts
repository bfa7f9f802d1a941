import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parseConfig } from "@sockeye/engine/config/load";

const root = join(import.meta.dirname, "..", "..");

/** Secrets that an example takes from the environment. */
const env = { PROXY_PASSWORD: "password" };

for (const file of ["README.md", ...globSync("docs/tasks/*.md", { cwd: root })]) {
  const text = readFileSync(join(root, file), "utf8");
  const examples = [...text.matchAll(/^```yaml\n(.*?)^```$/gms)].map((match) => match[1]!);
  test(`every example in ${file} is a valid configuration`, () => {
    assert.ok(examples.length > 0, "there is no example");
    for (const example of examples) {
      const result = parseConfig(example, { env, home: "/home/jane" });
      assert.deepEqual("errors" in result ? result.errors : [], [], example);
      assert.deepEqual(result.warnings, [], example);
    }
  });
}
