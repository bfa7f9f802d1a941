import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type BodyFraming, BodyReader, HttpBodyError } from "./http-body.ts";

interface Read {
  readonly data: string;
  readonly taken: number;
  readonly done: boolean;
  readonly trailers: readonly string[];
}

/** Reads `text` in pieces. @returns the error's code where it is refused. */
function read(framing: BodyFraming, text: string, cuts: readonly number[] = []): Read | string {
  const reader = new BodyReader(framing);
  const bytes = Buffer.from(text, "latin1");
  const edges = [...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].sort((a, b) => a - b);
  let data = "";
  let taken = 0;
  let from = 0;
  try {
    for (const edge of edges) {
      const part = bytes.subarray(from, edge);
      const used = reader.push(part, (chunk) => (data += chunk.toString("latin1")));
      taken += used;
      if (used < part.length) break;
      from = edge;
    }
  } catch (error) {
    if (error instanceof HttpBodyError) return error.code;
    throw error;
  }
  return {
    data,
    taken,
    done: reader.done,
    trailers: reader.trailers.map(({ name, value }) => `${name}: ${value}`),
  };
}

const chunked: BodyFraming = { kind: "chunked" };

test("a body of known length ends there, and what follows is left", () => {
  assert.deepEqual(read({ kind: "length", length: 3 }, "abcGET"), {
    data: "abc",
    taken: 3,
    done: true,
    trailers: [],
  });
});

test("no body takes nothing, and a body until the end of the connection takes all", () => {
  assert.deepEqual(read({ kind: "none" }, "abc"), { data: "", taken: 0, done: true, trailers: [] });
  assert.deepEqual(read({ kind: "until-close" }, "abc"), {
    data: "abc",
    taken: 3,
    done: false,
    trailers: [],
  });
});

test("chunks with extensions and trailers are read to their end", () => {
  const text = "3;name=value\r\nabc\r\nA\r\n0123456789\r\n000\r\nX-Sum: 1\r\nY: 2\r\n\r\nGET /";
  const found = read(chunked, text);
  assert.deepEqual(found, {
    data: "abc0123456789",
    taken: text.length - 5,
    done: true,
    trailers: ["X-Sum: 1", "Y: 2"],
  });
});

for (const [name, text, code] of [
  ["a size that is no number", "x\r\n", "chunk-size"],
  ["an empty size", "\r\n", "chunk-size"],
  ["a negative size", "-1\r\n", "chunk-size"],
  ["a size with 0x", "0x3\r\nabc\r\n", "chunk-size"],
  ["a size with a plus", "+3\r\n", "chunk-size"],
  ["a size with an underscore", "1_0\r\n", "chunk-size"],
  ["a size with a space before it", " 3\r\nabc\r\n", "chunk-size"],
  ["a size with a space after it", "3 \r\nabc\r\n", "chunk-size"],
  ["a size that nobody can count to", "fffffffffffffffff\r\n", "chunk-size"],
  ["an extension with a control byte", "3;a=\0\r\n", "chunk-size"],
  ["a bare LF after the size", "3\nabc\r\n", "chunk-end"],
  ["a bare CR in an extension", "3;a\rb\r\nabc\r\n", "chunk-end"],
  ["a bare LF after the data", "3\r\nabc\n0\r\n\r\n", "chunk-end"],
  ["more data than the size says", "3\r\nabcd\r\n", "chunk-end"],
  ["data that begins like an end", "3\r\nabc\rXY", "chunk-end"],
  ["a size line without an end", `3;${"a".repeat(300)}`, "too-large"],
  ["trailers without an end", `0\r\n${"X: y\r\n".repeat(5000)}`, "too-large"],
  ["a trailer without a colon", "0\r\nabc\r\n\r\n", "trailer"],
  ["a folded trailer", "0\r\nA: b\r\n c\r\n\r\n", "trailer"],
  ["Content-Length as a trailer", "0\r\nContent-Length: 5\r\n\r\n", "trailer"],
  ["Transfer-Encoding as a trailer", "0\r\ntransfer-encoding: chunked\r\n\r\n", "trailer"],
  ["Host as a trailer", "0\r\nHost: b.example\r\n\r\n", "trailer"],
] as const) {
  test(`refused: ${name}`, () => {
    assert.equal(read(chunked, text), code);
    if (text.length > 100) return;
    for (let cut = 1; cut < text.length; cut++)
      assert.equal(read(chunked, text, [cut]), code, `cut at ${cut}`);
  });
}

test("a body that the connection's end cuts is told from one that it completes", () => {
  const cut = new BodyReader({ kind: "length", length: 3 });
  cut.push(Buffer.from("ab"));
  assert.throws(() => cut.end(), { code: "cut" });
  const whole = new BodyReader({ kind: "until-close" });
  whole.push(Buffer.from("ab"));
  whole.end();
  assert.equal(whole.done, true);
});

test("any chunks, cut anywhere, give back what was put in", () => {
  const pieces = fc.array(fc.uint8Array({ minLength: 1, maxLength: 40 }), { maxLength: 8 });
  fc.assert(
    fc.property(pieces, fc.array(fc.nat(500), { maxLength: 8 }), fc.boolean(), (pieces, cuts, trailer) => {
      const data = pieces.map((piece) => Buffer.from(piece).toString("latin1"));
      const text = `${data.map((piece) => `${piece.length.toString(16)}\r\n${piece}\r\n`).join("")}0\r\n${trailer ? "X: y\r\n" : ""}\r\n`;
      assert.deepEqual(read(chunked, `${text}rest`, cuts), {
        data: data.join(""),
        taken: text.length,
        done: true,
        trailers: trailer ? ["X: y"] : [],
      });
    }),
  );
});

test("whatever comes as chunks, any split of it reads the same", () => {
  const piece = fc.constantFrom(
    "3",
    "a",
    "\r\n",
    "\n",
    "\r",
    "0",
    ";",
    " ",
    "abc",
    "X: y",
    "\0",
    "0\r\n\r\n",
    "3\r\nabc\r\n",
  );
  fc.assert(
    fc.property(
      fc.array(piece, { maxLength: 12 }),
      fc.array(fc.nat(60), { maxLength: 5 }),
      (pieces, cuts) => {
        const text = pieces.join("");
        const whole = read(chunked, text);
        const split = read(chunked, text, cuts);
        assert.deepEqual(split, whole);
      },
    ),
    { numRuns: 2000 },
  );
});
