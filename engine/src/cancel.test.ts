import assert from "node:assert/strict";
import { test } from "node:test";
import { Cancel } from "./cancel.ts";
import { DialError } from "./errors.ts";

const gone = new DialError("cancelled", "the application went away");

test("whoever listens to a cancel is told once, in the order of their coming, and finds the first reason", () => {
  const cancel = new Cancel();
  const told: string[] = [];
  const onAbort = (): void => void told.push(`first ${cancel.aborted} ${cancel.reason?.message ?? ""}`);
  cancel.addEventListener("abort", onAbort);
  cancel.addEventListener("abort", { handleEvent: () => told.push("second") });
  cancel.addEventListener("abort", () => told.push("third"));
  assert.equal(cancel.aborted, false);
  cancel.abort(gone);
  cancel.abort(new DialError("closed", "something else"));
  assert.deepEqual(told, ["first true the application went away", "second", "third"]);
  assert.equal(cancel.reason, gone);
});

test("whoever has left, be it while others are told, is not told", () => {
  const cancel = new Cancel();
  const told: string[] = [];
  const early = (): void => void told.push("early");
  const later = (): void => void told.push("later");
  cancel.addEventListener("abort", early);
  cancel.addEventListener("abort", () => cancel.removeEventListener("abort", later));
  cancel.addEventListener("abort", () => told.push("between"));
  cancel.addEventListener("abort", later);
  cancel.removeEventListener("abort", early);
  cancel.removeEventListener("abort", early);
  cancel.abort(gone);
  assert.deepEqual(told, ["between"]);
});
