import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { DialError } from "../errors.ts";
import { Backoff } from "./backoff.ts";
import { FirstContact } from "./first-contact.ts";

/** A contact whose tries end as told, one after the other; then they succeed. */
function contactThat(...failures: (DialError | undefined)[]) {
  let [tries, known] = [0, false];
  const over = Promise.withResolvers<undefined>();
  const contact = new FirstContact({
    attempt: () => {
      const failure = failures[tries++];
      if (tries >= failures.length) over.resolve(undefined);
      return failure ? Promise.reject(failure) : Promise.resolve();
    },
    isKnown: () => known,
    backoff: new Backoff(1, 1),
  });
  return { contact, over: over.promise, tries: () => tries, know: () => (known = true) };
}

const refused = new DialError("refused", "nobody listens", { scope: "upstream" });
const auth = new DialError("auth", "not accepted", { scope: "upstream" });
const turn = () => new Promise((resolve) => setTimeout(resolve, 20));

describe("first contact", () => {
  it("is tried again until the upstream answers, and not after that", async () => {
    const { contact, over, tries } = contactThat(refused, refused, undefined);
    contact.start();
    await over;
    await turn();
    assert.equal(tries(), 3);
    assert.equal(contact.isWaiting, false);
  });

  it("is not tried again where a person has to see to it first", async () => {
    const { contact, over, tries } = contactThat(auth);
    contact.start();
    await over;
    await turn();
    assert.equal(tries(), 1);
    contact.start();
    assert.equal(tries(), 2, "but when it is asked for");
  });

  it("is not made where traffic has shown it already, nor after the end", async () => {
    const first = contactThat(undefined);
    first.know();
    first.contact.start();
    assert.equal(first.tries(), 0);
    const second = contactThat(refused, undefined);
    second.contact.start();
    second.contact.close();
    await turn();
    assert.equal(second.tries(), 1);
  });
});
