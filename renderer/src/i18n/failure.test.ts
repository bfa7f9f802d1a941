import assert from "node:assert/strict";
import { test } from "node:test";
import { controlErrorCode } from "@sockeye/engine/control/contract";
import { ControlError } from "@sockeye/engine/control/control-error";
import { de } from "./de/index.ts";
import { en } from "./en/index.ts";
import { failureText } from "./failure.ts";

const refused = { code: "refused", message: "nobody listens" };

test("in English a failure has the engine's sentence", () => {
  assert.equal(failureText(en, refused), "nobody listens");
  assert.equal(
    failureText(en, new ControlError("closed", "the engine is not there")),
    "the engine is not there",
  );
});

test("in another language the code is put into words, and the engine's sentence is the detail", () => {
  assert.equal(failureText(de, refused), "Unter der Adresse nimmt niemand an (nobody listens)");
  assert.equal(failureText(de, { ...refused, message: "" }), "Unter der Adresse nimmt niemand an");
});

test("every code of the contract has its words", () => {
  for (const code of controlErrorCode.options) assert.ok(de.failures.of[code], code);
});

test("what has no code, or an unknown one, stays as it is", () => {
  assert.equal(failureText(de, new Error("a sentence")), "a sentence");
  assert.equal(failureText(de, { code: "constructor", message: "a sentence" }), "a sentence");
  assert.equal(failureText(de, "words"), "words");
});
