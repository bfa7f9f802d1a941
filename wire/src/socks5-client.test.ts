import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { encodeCredentials, Socks5ClientError, Socks5Greeting, Socks5Request } from "./socks5-client.ts";
import { Socks5Error, writeAddress, type SocksAddress } from "./socks5.ts";

const FUZZ_MS = Number(process.env["SOCKEYE_FUZZ_MS"] ?? 2000);
const credentials = encodeCredentials("user", "pass");
const anywhere = { host: "0.0.0.0", port: 0 };

const address: fc.Arbitrary<SocksAddress> = fc.record(
  {
    host: fc.oneof(
      fc.ipV4(),
      fc.constantFrom("::", "::1", "2001:db8::5:0:1", "fe80::1234"),
      fc.stringMatching(/^[a-z][a-z0-9.-]{0,253}[a-z]$/),
    ),
    port: fc.integer({ min: 0, max: 65535 }),
  },
  { noNullPrototype: true },
);

function cutUp(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const edges = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  return edges.slice(1).map((edge, i) => bytes.subarray(edges[i], edge));
}

function bytewise(greeting: Socks5Greeting, bytes: readonly number[]) {
  return bytes.map((byte) => greeting.push(Buffer.of(byte)));
}

describe("Socks5Greeting", () => {
  it("offers no method but none without credentials, and is ready when the proxy takes it", () => {
    const greeting = new Socks5Greeting();
    assert.deepEqual([...greeting.opening], [5, 1, 0]);
    assert.deepEqual(bytewise(greeting, [5, 0]), ["wait", "ready"]);
  });

  it("sends username and password when asked, byte by byte or at once", () => {
    const greeting = new Socks5Greeting(credentials);
    assert.deepEqual([...greeting.opening], [5, 2, 0, 2]);
    assert.deepEqual(greeting.push(Buffer.of(5, 2)), { send: credentials });
    assert.deepEqual(bytewise(greeting, [1, 0]), ["wait", "ready"]);
    assert.equal(credentials.toString("latin1"), "\x01\x04user\x04pass");
  });

  it("tells each wrong answer by its code, at the first byte that shows it", () => {
    const failure = (bytes: number[], auth?: Buffer) => {
      try {
        bytewise(new Socks5Greeting(auth), bytes);
        return undefined;
      } catch (error) {
        assert(error instanceof Socks5ClientError);
        return error.code;
      }
    };
    assert.equal(failure([0x48]), "version");
    assert.equal(failure([4]), "version");
    assert.equal(failure([5, 0xff]), "no-method");
    assert.equal(failure([5, 2]), "method");
    assert.equal(failure([5, 1], credentials), "method");
    assert.equal(failure([5, 2, 1, 1], credentials), "auth-refused");
    assert.equal(failure([5, 2, 5], credentials), "version");
    assert.equal(failure([5, 0, 5]), "early-bytes");
    assert.throws(() => new Socks5Greeting(credentials).push(Buffer.of(5, 2, 1, 0)), { code: "early-bytes" });
  });

  it("refuses credentials that RFC 1929 can't carry", () => {
    assert.throws(() => encodeCredentials("", "p"), RangeError);
    assert.throws(() => encodeCredentials("u", "é".repeat(128)), RangeError);
    assert.equal(encodeCredentials("u", "é".repeat(127)).length, 1 + 2 + 1 + 254);
  });
});

describe("Socks5Request", () => {
  it("writes the request that RFC 1928 §4 describes", () => {
    assert.deepEqual(
      [...new Socks5Request("connect", { host: "a.b", port: 443 }).opening],
      [5, 1, 0, 3, 3, 0x61, 0x2e, 0x62, 1, 187],
    );
    assert.deepEqual([...new Socks5Request("associate", anywhere).opening], [5, 3, 0, 1, 0, 0, 0, 0, 0, 0]);
  });

  it("reads the same bound address from any split of the reply, and hands back what follows", () => {
    const cuts = fc.array(fc.nat(), { maxLength: 20 });
    fc.assert(
      fc.property(address, fc.uint8Array({ maxLength: 40 }), cuts, (bound, after, at) => {
        const request = new Socks5Request("connect", anywhere);
        const bytes = Buffer.concat([Buffer.of(5, 0, 0), writeAddress(bound), after]);
        const chunks = cutUp(bytes, at);
        for (const [i, chunk] of chunks.entries()) {
          const read = request.push(chunk);
          if (!read) continue;
          assert.deepEqual(read.bound, bound);
          assert.deepEqual(Buffer.concat([read.rest, ...chunks.slice(i + 1)]), Buffer.from(after));
          return;
        }
        assert.fail("no reply was read");
      }),
    );
  });

  it("tells a refusal as soon as its code is there, though the proxy sends no address after it", () => {
    for (let reply = 1; reply < 256; reply++) {
      const request = new Socks5Request("connect", anywhere);
      assert.equal(request.push(Buffer.of(5)), undefined);
      assert.throws(() => request.push(Buffer.of(reply)), { code: "reply", reply });
    }
  });
});

describe("a SOCKS5 client", () => {
  it("survives any bytes: a step, one of its errors, or more wanted, the same however they are cut", () => {
    const bytes = fc.uint8Array({ maxLength: 20 }).map((tail) => Buffer.from(tail));
    const likely = fc.constantFrom([5], [5, 0], [5, 0, 0], [5, 0, 0, 1], [5, 0, 0, 3, 5], [5, 2, 1]);
    const cuts = fc.array(fc.nat(), { maxLength: 6 });
    fc.assert(
      fc.property(likely, bytes, cuts, (start, tail, at) => {
        const all = Buffer.concat([Buffer.from(start), tail]);
        assert.deepEqual(requestOutcome(cutUp(all, at)), requestOutcome([all]));
        greetingOutcome(cutUp(all, at));
      }),
      { interruptAfterTimeLimit: FUZZ_MS / 2, numRuns: 1_000_000 },
    );
  });
});

function requestOutcome(chunks: readonly Buffer[]): unknown {
  const request = new Socks5Request("connect", anywhere);
  try {
    for (const [i, chunk] of chunks.entries()) {
      const read = request.push(chunk);
      if (read) return { bound: read.bound, rest: Buffer.concat([read.rest, ...chunks.slice(i + 1)]) };
    }
    return undefined;
  } catch (error) {
    return ownError(error);
  }
}

function greetingOutcome(chunks: readonly Buffer[]): unknown {
  const greeting = new Socks5Greeting(credentials);
  try {
    return chunks.map((chunk) => greeting.push(chunk));
  } catch (error) {
    return ownError(error);
  }
}

function ownError(error: unknown): string {
  assert(error instanceof Socks5ClientError || error instanceof Socks5Error);
  return error.code;
}
