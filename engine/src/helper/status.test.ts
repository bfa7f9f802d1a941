import assert from "node:assert/strict";
import { test } from "node:test";
import { HelperError, type HelperErrorCode } from "./client.ts";
import { describeHelper } from "./status.ts";

const question = { expected: "0.1.0", inUse: false, platform: "linux" } as const;

/** A source whose session fails, or whose helper says that it is of this version. */
function source(outcome: HelperErrorCode | { readonly build: string }) {
  const fake = {
    given: 0,
    session: async (): Promise<{ readonly build: string }> => {
      if (typeof outcome === "string") throw new HelperError(outcome, `it is ${outcome}`);
      fake.given++;
      return outcome;
    },
    done: () => {
      fake.given--;
    },
  };
  return fake;
}

test("a helper of this version is running, and its session is given back", async () => {
  const there = source({ build: "0.1.0" });
  const status = await describeHelper({ ...question, source: there });
  assert.deepEqual([status.state, status.version, there.given], ["running", "0.1.0", 0]);
});

test("a helper of another version is foreign, and both versions are said", async () => {
  const status = await describeHelper({ ...question, source: source({ build: "0.0.9" }) });
  assert.equal(status.state, "foreign");
  assert.match(status.message, /0\.0\.9.*0\.1\.0.*install the helper anew/);
});

test("each way not to have one is told in its own words", async () => {
  for (const [code, state] of [
    ["missing", "absent"],
    ["version", "foreign"],
    ["busy", "busy"],
    ["forbidden", "running"],
    ["unsupported", "unsupported"],
  ] as const) {
    const status = await describeHelper({ ...question, source: source(code) });
    assert.deepEqual([status.state, status.message, status.expected], [state, `it is ${code}`, "0.1.0"]);
  }
  const other = await describeHelper({ ...question, source: source("missing"), platform: "freebsd" });
  assert.equal(other.state, "unsupported");
});

test("while TUN mode is on nobody is asked: the helper serves one client", async () => {
  const status = await describeHelper({ ...question, inUse: true, source: source("busy") });
  assert.equal(status.message, "the privileged helper serves this engine");
});
