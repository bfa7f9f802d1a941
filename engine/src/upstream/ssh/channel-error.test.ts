import assert from "node:assert/strict";
import { test } from "node:test";
import { DialError } from "../../errors.ts";
import { channelError } from "./channel-error.ts";

const target = { host: "db.internal", port: 5432 };
const server = { host: "bastion", port: 22 };

function refused(reason: number, description: string): DialError {
  const error = Object.assign(new Error(`(SSH) Channel open failure: ${description}`), { reason });
  return channelError(error, target, server);
}

test("each reason of RFC 4254 has its code, and is the target's failure", () => {
  const cases = [
    [1, "open failed", "forbidden"],
    [2, "Connection refused", "refused"],
    [2, "Connection timed out", "timeout"],
    [2, "No route to host", "unreachable"],
    [2, "Network is unreachable", "unreachable"],
    [2, "Name or service not known", "dns"],
    [2, "Temporary failure in name resolution", "dns"],
    [2, "unknown host (nowhere)", "dns"],
    [2, "something else", "refused"],
    [3, "unknown channel type", "unsupported"],
    [4, "resource shortage", "limit"],
  ] as const;
  for (const [reason, description, code] of cases) {
    const error = refused(reason, description);
    assert.deepEqual([error.code, error.scope, error.step], [code, "target", "dial"], description);
    assert.ok(error.message.includes(description) && error.message.includes("bastion:22"));
  }
});

test("no answer at all is the connection's end, and a DialError stays what it is", () => {
  const gone = channelError(new Error("No response from server"), target, server);
  assert.deepEqual([gone.code, gone.scope], ["closed", "upstream"]);
  const own = new DialError("cancelled", "the dial was cancelled");
  assert.equal(channelError(own, target, server), own);
});
