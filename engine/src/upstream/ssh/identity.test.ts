import assert from "node:assert/strict";
import { test } from "node:test";
import { CredentialMemory } from "./identity.ts";

test("a password that the server refused is asked for again as such, once; what a person never gave is no slip of theirs", async () => {
  const memory = new CredentialMemory();
  const { signal } = new AbortController();
  const asked: boolean[] = [];
  const ask = (answer: string | undefined) =>
    memory.askOnce("u@h", signal, (again) => {
      asked.push(again);
      return Promise.resolve(answer);
    });
  memory.forgetPassword("u@h", "from the configuration");
  await ask("wrong");
  memory.forgetPassword("u@h", "wrong");
  await ask(undefined);
  await ask("right");
  memory.keepPassword("u@h", "right");
  await ask("right");
  assert.deepEqual(asked, [false, true, true, false]);
});
