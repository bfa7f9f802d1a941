import assert from "node:assert/strict";
import { test } from "node:test";
import { languageOf, textsIn } from "./texts.ts";

test("the language is the chosen one, or the first of the system's that there is", () => {
  assert.equal(languageOf("de", ["en-GB"]), "de");
  assert.equal(languageOf("system", ["fr-FR", "de-AT", "en"]), "de");
  assert.equal(languageOf("system", ["fr"]), "en");
  assert.equal(languageOf("system", []), "en");
});

test("what is put into a text is put in as it is", () => {
  assert.equal(
    textsIn("en")("connectedBody", { name: "a$1{name}" }),
    "Traffic is carried through a$1{name}.",
  );
  assert.match(textsIn("de")("connectedBody", { name: "büro" }), /büro/);
});
