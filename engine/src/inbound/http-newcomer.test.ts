import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { credentialsOf, readPlainConnect } from "./http-newcomer.ts";

const read = (text: string, maxBytes = 1000) => readPlainConnect(Buffer.from(text), maxBytes);
const USUAL = "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\nProxy-Authorization: Basic eDp5\r\n\r\n";

describe("the first bytes of a client", () => {
  it("are a CONNECT that is whole, with what comes after it", () => {
    const asked = read(`${USUAL}early`);
    assert.equal(asked?.head.target, "a.test:443");
    assert.equal(credentialsOf(asked.head), "Basic eDp5");
    assert.equal(asked.rest.toString(), "early");
  });

  for (const [what, text] of [
    ["nothing whole", USUAL.slice(0, -2)],
    ["another method", USUAL.replace("CONNECT", "OPTIONS")],
    ["another word", USUAL.replace("CONNECT", "CONNECTS")],
    ["no HTTP", "\x05\x01\x00"],
    ["malformed", USUAL.replace("Host:", "Host :")],
    ["one that wants to be asked on", USUAL.replace("Host:", "Expect: 100-continue\r\nHost:")],
    ["one with a body", USUAL.replace("Host:", "Content-Length: 3\r\nHost:")],
    ["longer than allowed", USUAL.replace("Host:", `X: ${"x".repeat(1000)}\r\nHost:`)],
  ] as const) {
    it(`are left to node:http when they are ${what}`, () => {
      assert.equal(read(text), undefined);
    });
  }
});
