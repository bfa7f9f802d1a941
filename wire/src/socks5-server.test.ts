import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import {
  authReply,
  connectReply,
  MAX_HANDSHAKE_BYTES,
  methodReply,
  type ServerEvent,
  Socks4Reply,
  SocksServerParser,
} from "./socks5-server.ts";
import { Reply, Socks5Error, writeAddress } from "./socks5.ts";

/** Pushes the pieces until the parser is done; what was not pushed joins the rest, as it would in a socket. */
function parse(passwordRequired: boolean, pieces: readonly Buffer[]): ServerEvent[] {
  const parser = new SocksServerParser(passwordRequired);
  const events: ServerEvent[] = [];
  for (const [i, piece] of pieces.entries()) {
    events.push(...parser.push(piece));
    const last = events.at(-1);
    if (last?.kind === "error") return events;
    if (last?.kind === "request") {
      const rest = Buffer.concat([last.rest, ...pieces.slice(i + 1)]);
      return [...events.slice(0, -1), { ...last, rest }];
    }
  }
  return events;
}

function splitAt(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  return [0, ...places].map((from, i) => bytes.subarray(from, places[i] ?? bytes.length));
}

const greeting = (...methods: number[]) => Buffer.of(5, methods.length, ...methods);
const password = (username: string, secret: string) =>
  Buffer.concat([
    Buffer.of(1, Buffer.byteLength(username)),
    Buffer.from(username),
    Buffer.of(Buffer.byteLength(secret)),
    Buffer.from(secret),
  ]);
const request = (command: number, host: string, port: number) =>
  Buffer.concat([Buffer.of(5, command, 0), writeAddress({ host, port })]);
const socks4 = (ip: readonly number[], port: number, tail: string) =>
  Buffer.concat([Buffer.of(4, 1, port >> 8, port & 255, ...ip), Buffer.from(tail, "latin1")]);

/** Valid handshakes, damaged ones, and noise. */
const anyInput = fc.oneof(
  fc
    .tuple(
      fc.array(fc.constantFrom(0, 1, 2, 255), { maxLength: 5 }),
      fc.option(fc.tuple(fc.string({ maxLength: 40 }), fc.string({ maxLength: 40 }))),
      fc.constantFrom<number>(1, 2, 3, 9),
      fc.oneof(fc.ipV4(), fc.ipV6(), fc.domain()),
      fc.uint8Array({ maxLength: 40 }),
      fc.option(fc.tuple(fc.nat(60), fc.nat(255))),
    )
    .map(([methods, auth, command, host, rest, damage]) => {
      const bytes = Buffer.concat([
        greeting(...methods),
        auth === null ? Buffer.alloc(0) : password(auth[0], auth[1]),
        request(command, host, 80),
        rest,
      ]);
      if (damage) bytes[damage[0] % bytes.length] = damage[1];
      return bytes;
    }),
  fc
    .tuple(fc.constantFrom([1, 2, 3, 4], [0, 0, 0, 7], [0, 0, 0, 0]), fc.string({ maxLength: 60 }))
    .map(([ip, tail]) => socks4(ip, 80, tail.replaceAll("a", "\0"))),
  fc.uint8Array({ maxLength: 1500 }).map((raw) => Buffer.from(raw)),
);

describe("the server side of a SOCKS handshake", () => {
  it("gives the same events however the bytes are split", () => {
    fc.assert(
      fc.property(anyInput, fc.array(fc.nat(), { maxLength: 12 }), fc.boolean(), (bytes, cuts, required) => {
        const whole = parse(required, [bytes]);
        assert.deepEqual(parse(required, splitAt(bytes, cuts)), whole);
        assert.deepEqual(
          parse(
            required,
            Array.from(bytes, (byte) => Buffer.of(byte)),
          ),
          whole,
        );
      }),
    );
  });

  it("is done once MAX_HANDSHAKE_BYTES have come, whatever they are", () => {
    const long = fc.oneof(
      fc.uint8Array({ minLength: MAX_HANDSHAKE_BYTES, maxLength: MAX_HANDSHAKE_BYTES + 50 }),
      fc
        .constantFrom(Buffer.of(4, 1, 0, 80, 1, 2, 3, 4), Buffer.of(4, 1, 0, 80, 0, 0, 0, 4, 0))
        .map((head) => Buffer.concat([head, Buffer.alloc(MAX_HANDSHAKE_BYTES, "u")])),
      fc
        .constantFrom(255, 2)
        .map((length) =>
          Buffer.concat([
            greeting(...Array.from({ length }, () => 2)),
            password("u".repeat(255), "p".repeat(255)),
            request(1, "n".repeat(255), 1),
            Buffer.alloc(MAX_HANDSHAKE_BYTES),
          ]),
        ),
    );
    fc.assert(
      fc.property(long, (raw) => {
        const last = parse(false, [Buffer.from(raw).subarray(0, MAX_HANDSHAKE_BYTES)]).at(-1);
        assert.ok(last?.kind === "request" || last?.kind === "error");
      }),
    );
  });

  it("takes the longest handshake that SOCKS5 allows", () => {
    const bytes = Buffer.concat([
      greeting(...Array.from({ length: 255 }, () => 2)),
      password("u".repeat(255), "p".repeat(255)),
      request(1, "n".repeat(255), 1),
    ]);
    assert.equal(bytes.length, MAX_HANDSHAKE_BYTES);
    assert.equal(parse(true, [bytes]).at(-1)?.kind, "request");
  });

  it("survives noise for as long as SOCKEYE_FUZZ_MS says", () => {
    const until = Date.now() + Number(process.env["SOCKEYE_FUZZ_MS"] ?? 2000);
    const answers = new Set<string>();
    while (Date.now() < until) {
      for (const bytes of fc.sample(anyInput, 200)) {
        const last = parse(bytes.length % 2 === 0, [bytes]).at(-1);
        if (last?.kind === "error") assert.ok(last.error instanceof Socks5Error);
        answers.add(last?.kind === "error" ? last.error.code : String(last?.kind));
      }
    }
    assert.ok(
      answers.has("request") && answers.has("version") && answers.has("command"),
      [...answers].join(),
    );
  });

  it("keeps what came after the request", () => {
    const bytes = Buffer.concat([greeting(0), request(1, "example.com", 443), Buffer.from("hello")]);
    assert.deepEqual(parse(false, [bytes]), [
      { kind: "method", method: 0 },
      {
        kind: "request",
        version: 5,
        command: "connect",
        address: { host: "example.com", port: 443 },
        rest: Buffer.from("hello"),
      },
    ]);
  });

  it("takes greeting, password and request in one segment", () => {
    const bytes = Buffer.concat([greeting(0, 2), password("ann", "sesame"), request(3, "0.0.0.0", 0)]);
    assert.deepEqual(
      parse(true, [bytes]).map((event) => event.kind),
      ["method", "credentials", "request"],
    );
  });

  it("takes no password where none is required, and lets a client in that offers nothing else", () => {
    assert.deepEqual(parse(false, [greeting(2, 0)]), [{ kind: "method", method: 0 }]);
    assert.deepEqual(parse(false, [greeting(2)]), [{ kind: "method", method: 2 }]);
  });

  it("takes SOCKS4 with a user id and an address, and 4a with a name", () => {
    const plain = parse(false, [socks4([10, 0, 0, 1], 80, "ann\0rest")]).at(-1);
    assert.deepEqual(plain?.kind === "request" && [plain.version, plain.address, plain.rest.toString()], [
      4,
      { host: "10.0.0.1", port: 80 },
      "rest",
    ]);
    const named = parse(false, [socks4([0, 0, 0, 9], 80, "\0example.com\0")]).at(-1);
    assert.deepEqual(named?.kind === "request" && named.address, { host: "example.com", port: 80 });
  });

  it("says what is mixed up with it", () => {
    for (const [bytes, sentence] of [
      ["CONNECT a:1 HTTP/1.1\r\n", /this is HTTP/],
      ["\x16\x03\x01", /this is TLS/],
      ["\x00", /the first byte is 0/],
    ] as const) {
      const last = parse(false, [Buffer.from(bytes)]).at(-1);
      assert.ok(last?.kind === "error");
      assert.match(last.error.message, sentence);
    }
  });

  const wrong: [string, boolean, Buffer, string, Buffer | undefined][] = [
    ["HTTP", false, Buffer.from("GET / HTTP/1.1\r\n"), "version", undefined],
    ["no method that is accepted", true, greeting(0, 1), "method", methodReply(0xff)],
    ["no method at all", false, greeting(), "method", methodReply(0xff)],
    [
      "an unknown version of passwords",
      true,
      Buffer.from([...greeting(2), 5]),
      "auth-version",
      authReply(false),
    ],
    [
      "BIND",
      false,
      Buffer.from([...greeting(0), 5, 2]),
      "command",
      connectReply(5, Reply.commandNotSupported),
    ],
    ["an unknown command", false, Buffer.from([...greeting(0), 5, 9]), "command", connectReply(5, 7)],
    ["a request of another version", false, Buffer.from([...greeting(0), 4]), "version", connectReply(5, 1)],
    ["a reserved byte", false, Buffer.from([...greeting(0), 5, 1, 1]), "reserved", connectReply(5, 1)],
    [
      "an unknown address type",
      false,
      Buffer.from([...greeting(0), 5, 1, 0, 2]),
      "address-type",
      connectReply(5, 8),
    ],
    [
      "an empty name",
      false,
      Buffer.from([...greeting(0), 5, 1, 0, 3, 0, 0, 80]),
      "address",
      connectReply(5, 1),
    ],
    ["SOCKS4 BIND", false, Buffer.of(4, 2), "command", connectReply(4, Socks4Reply.rejected)],
    [
      "SOCKS4 where a password is required",
      true,
      Buffer.of(4, 1),
      "method",
      connectReply(4, Socks4Reply.rejected),
    ],
    ["an empty SOCKS4a name", false, socks4([0, 0, 0, 1], 80, "\0\0"), "address", connectReply(4, 91)],
    [
      "an endless user id",
      false,
      socks4([1, 2, 3, 4], 80, "u".repeat(2000)),
      "too-long",
      connectReply(4, 91),
    ],
  ];
  for (const [what, required, bytes, code, answer] of wrong) {
    it(`refuses ${what} in the protocol's own words`, () => {
      const last = parse(required, [bytes]).at(-1);
      assert.ok(last?.kind === "error");
      assert.equal(last.error.code, code);
      assert.deepEqual(last.answer, answer);
    });
  }

  it("writes the address that was bound into its answer", () => {
    assert.deepEqual([...connectReply(5, Reply.succeeded)], [5, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    assert.deepEqual(
      [...connectReply(5, 0, { host: "127.0.0.1", port: 1080 })],
      [5, 0, 0, 1, 127, 0, 0, 1, 4, 56],
    );
  });
});
