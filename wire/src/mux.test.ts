import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Mux, type MuxLimits, WindowBudget } from "./mux.ts";
import { frame, FrameReader, FrameType, MuxError, type ResetReason } from "./mux-frames.ts";
import type { MuxStream, StreamReceiver } from "./mux-stream.ts";

/** One end with everything it was told. */
class End {
  readonly mux: Mux;
  readonly opened: { stream: MuxStream; header: string; seen: Seen }[] = [];
  readonly controls: string[] = [];
  readonly pongs: number[] = [];
  wakes = 0;

  constructor(
    role: "relay" | "client",
    options: { limits?: Partial<MuxLimits>; now?: () => number; budget?: number } = {},
  ) {
    this.mux = new Mux({
      role,
      budget: new WindowBudget(options.budget ?? 0),
      now: options.now ?? (() => 0),
      limits: options.limits ?? {},
      handler: {
        wake: () => this.wakes++,
        opened: (stream, header) => {
          const seen = new Seen();
          this.opened.push({ stream, header: header.toString(), seen });
          return seen;
        },
        control: (message) => this.controls.push(message.toString()),
        pong: (ms) => this.pongs.push(ms),
      },
    });
  }

  open(header = "h"): { stream: MuxStream; seen: Seen } {
    const seen = new Seen();
    return { stream: this.mux.open(Buffer.from(header), seen), seen };
  }

  /** What it has to send, as one. */
  output(maxBytes = Infinity): Buffer {
    return Buffer.concat(this.mux.take(maxBytes));
  }
}

class Seen implements StreamReceiver {
  bytes = Buffer.alloc(0);
  ended = false;
  resets: ResetReason[] = [];
  drains = 0;
  data(chunk: Buffer): void {
    this.bytes = Buffer.concat([this.bytes, chunk]);
  }
  end(): void {
    this.ended = true;
  }
  reset(reason: ResetReason): void {
    this.resets.push(reason);
  }
  drain(): void {
    this.drains++;
  }
}

function pair(
  limits: Partial<MuxLimits> = {},
  budget = 0,
): { relay: End; client: End; pass: () => void; clock: { now: number } } {
  const clock = { now: 0 };
  const now = () => clock.now;
  const relay = new End("relay", { limits, now, budget });
  const client = new End("client", { limits, now, budget });
  const pass = () => {
    for (;;) {
      const forth = relay.output();
      const back = client.output();
      if (forth.length + back.length === 0) return;
      client.mux.receive(forth);
      relay.mux.receive(back);
    }
  };
  return { relay, client, pass, clock };
}

test("a stream carries bytes both ways, and each direction ends on its own", () => {
  const { relay, client, pass } = pair();
  const near = relay.open("share 1");
  near.stream.write(Buffer.from("question"));
  near.stream.end();
  pass();
  const far = client.opened[0]!;
  assert.equal(far.header, "share 1");
  assert.equal(far.seen.bytes.toString(), "question");
  assert.equal(far.seen.ended, true);
  assert.equal(near.seen.ended, false);
  far.stream.write(Buffer.from("answer"));
  far.stream.end();
  pass();
  assert.equal(near.seen.bytes.toString(), "answer");
  assert.equal(near.seen.ended, true);
  assert.equal(relay.mux.streams, 0);
  assert.equal(client.mux.streams, 0);
});

test("what is opened, written and ended before anything is sent leaves in that order", () => {
  const { relay, client, pass } = pair();
  for (const name of ["a", "b", "c"]) {
    const { stream } = relay.open(name);
    stream.write(Buffer.from(name));
    stream.end();
  }
  pass();
  assert.deepEqual(
    client.opened.map(({ header, seen }) => [header, seen.bytes.toString(), seen.ended]),
    [
      ["a", "a", true],
      ["b", "b", true],
      ["c", "c", true],
    ],
  );
});

test("a reader that stands still stops its own stream after one window, and no other", () => {
  const { relay, client, pass } = pair({ firstWindow: 1000 });
  const slow = relay.open("slow");
  const quick = relay.open("quick");
  assert.equal(slow.stream.write(Buffer.alloc(70_000)), false);
  pass();
  const [slowFar, quickFar] = client.opened;
  assert.equal(slowFar!.seen.bytes.length, 1000);
  for (let i = 0; i < 50; i++) {
    quick.stream.write(Buffer.alloc(900));
    pass();
    quickFar!.stream.consumed(900);
    pass();
  }
  assert.equal(quickFar!.seen.bytes.length, 45_000);
  assert.equal(slowFar!.seen.bytes.length, 1000);
  slowFar!.stream.consumed(1000);
  pass();
  assert.equal(slowFar!.seen.bytes.length, 2000);
});

test("streams with much to send take turns, so that little things do not wait for large ones", () => {
  const { relay } = pair({ firstWindow: 10_000_000 });
  const large = relay.open("large");
  large.stream.write(Buffer.alloc(5_000_000));
  const small = relay.open("small");
  small.stream.write(Buffer.from("hello"));
  const client = new End("client", { limits: { firstWindow: 10_000_000 } });
  client.mux.receive(relay.output(131_072));
  const [largeFar, smallFar] = client.opened;
  assert.equal(smallFar!.seen.bytes.toString(), "hello");
  assert.ok(largeFar!.seen.bytes.length <= 131_072);
});

test("whoever was asked to wait hears once that there is room", () => {
  const { relay, client, pass } = pair({ firstWindow: 65_536 });
  const near = relay.open();
  assert.equal(near.stream.write(Buffer.alloc(60_000)), true);
  assert.equal(near.stream.write(Buffer.alloc(60_000)), false);
  assert.equal(near.seen.drains, 0);
  pass();
  assert.equal(near.seen.drains, 0, "more than half of what is enough still waits");
  client.opened[0]!.stream.consumed(40_000);
  pass();
  assert.equal(near.seen.drains, 1);
});

test("a window grows while round trips limit it, out of a budget, and gives back what it took", () => {
  const budget = 65_536 * 3;
  const { relay, client, pass, clock } = pair({}, budget);
  client.mux.ping();
  const ping = client.output();
  clock.now = 100;
  relay.mux.receive(ping);
  client.mux.receive(relay.output());
  assert.deepEqual(client.pongs, [100]);
  const near = relay.open();
  near.stream.write(Buffer.alloc(2_000_000));
  pass();
  const far = client.opened[0]!;
  const windows: number[] = [];
  for (let round = 0; round < 5; round++) {
    const before = far.seen.bytes.length;
    clock.now += 100;
    far.stream.consumed(before - windows.reduce((a, b) => a + b, 0));
    windows.push(before - windows.reduce((a, b) => a + b, 0));
    pass();
  }
  assert.deepEqual(windows.slice(0, 4), [65_536, 131_072, 262_144, 262_144]);
  far.stream.reset("closed");
  pass();
  assert.deepEqual(near.seen.resets, ["closed"]);
});

/** Bytes that one stream carries in its third second over a link with a round trip of 100 ms that passes so many bytes each ms. */
function thirdSecond(linkBytesAMs: number): number {
  const ONE_WAY_MS = 50;
  let now = 0;
  let received = 0;
  const chunk = Buffer.alloc(65_536);
  const make = (role: "relay" | "client") =>
    new Mux({
      role,
      budget: new WindowBudget(268_435_456),
      now: () => now,
      handler: {
        wake: () => {},
        control: () => {},
        pong: () => {},
        opened: (stream) => {
          const data = (bytes: Buffer) => {
            received += bytes.length;
            stream.consumed(bytes.length);
          };
          return { data, end: () => {}, reset: () => {}, drain: () => {} };
        },
      },
    });
  const [relay, client] = [make("relay"), make("client")];
  client.ping();
  const write = () => {
    while (near.write(chunk));
  };
  const near = relay.open(Buffer.alloc(0), { data: () => {}, end: () => {}, reset: () => {}, drain: write });
  write();
  const onTheWay: { at: number; to: Mux; bytes: Buffer }[] = [];
  const send = (from: Mux, to: Mux) => {
    for (let sent = 0; sent < linkBytesAMs;) {
      const pieces = from.take(linkBytesAMs - sent);
      if (pieces.length === 0) return;
      for (const bytes of pieces) {
        sent += bytes.length;
        onTheWay.push({ at: now + ONE_WAY_MS, to, bytes });
      }
    }
  };
  let before = 0;
  for (; now < 3000; now++) {
    if (now === 2000) before = received;
    send(relay, client);
    send(client, relay);
    while (onTheWay.length > 0 && onTheWay[0]!.at <= now) {
      const { to, bytes } = onTheWay.shift()!;
      to.receive(bytes);
    }
  }
  return received - before;
}

test("one stream carries more than a gigabit a second over a link of 100 ms, and needs two seconds to get there", () => {
  const bytes = thirdSecond(1_000_000);
  assert.ok(bytes > 125_000_000, `${bytes / 1e6} MB in the third second`);
});

test("the whole window is on its way over a link that it just fills, not half of it", () => {
  const bytes = thirdSecond(170_000);
  assert.ok(bytes > 140_000_000, `${bytes / 1e6} MB in the third second`);
});

test("a slow reader's window does not grow", () => {
  const { relay, client, pass, clock } = pair({}, 10_000_000);
  client.mux.ping();
  const ping = client.output();
  clock.now = 10;
  relay.mux.receive(ping);
  client.mux.receive(relay.output());
  const near = relay.open();
  near.stream.write(Buffer.alloc(500_000));
  pass();
  clock.now += 1000;
  client.opened[0]!.stream.consumed(65_536);
  pass();
  assert.equal(client.opened[0]!.seen.bytes.length, 2 * 65_536);
});

test("a cut tells the other end its reason, and what comes late is passed over", () => {
  const { relay, client, pass } = pair();
  const near = relay.open();
  pass();
  const far = client.opened[0]!;
  far.stream.reset("refused");
  near.stream.write(Buffer.from("late"));
  client.mux.receive(relay.output());
  pass();
  assert.deepEqual(near.seen.resets, ["refused"]);
  assert.equal(far.seen.bytes.length, 0);
  assert.equal(near.stream.write(Buffer.from("more")), true);
  near.stream.end();
  assert.equal(relay.output().length, 0);
});

test("more streams than allowed are refused, and a place that gets free is used", () => {
  const { relay, client, pass } = pair();
  const narrow = new End("client", { limits: { maxStreams: 2 } });
  const opened = [relay.open(), relay.open(), relay.open()];
  narrow.mux.receive(relay.output());
  relay.mux.receive(narrow.output());
  assert.deepEqual(
    opened.map(({ seen }) => seen.resets),
    [[], [], ["overload"]],
  );
  assert.equal(client.opened.length, 0);
  pass();
  const full = new End("relay", { limits: { maxStreams: 1 } });
  full.open();
  assert.equal(full.mux.canOpen, false);
  assert.throws(() => full.open(), { code: "limit" });
});

test("when the connection ends, every stream hears that it is lost", () => {
  const { relay, pass } = pair();
  const streams = [relay.open(), relay.open()];
  pass();
  relay.mux.close();
  for (const { seen } of streams) assert.deepEqual(seen.resets, ["lost"]);
  assert.equal(relay.mux.canOpen, false);
});

test("control messages keep their order and go ahead of data", () => {
  const { relay, client } = pair({ firstWindow: 1_000_000 });
  const near = relay.open();
  near.stream.write(Buffer.alloc(500_000));
  relay.mux.sendControl(Buffer.from("one"));
  relay.mux.sendControl(Buffer.from("two"));
  client.mux.receive(relay.output(1));
  assert.deepEqual(client.controls, ["one", "two"]);
});

test("a peer that asks and never reads is given up", () => {
  const client = new End("client", { limits: { maxWaitingControl: 1000 } });
  const ping = frame(FrameType.ping, 0, Buffer.alloc(4));
  assert.throws(
    () => {
      for (let i = 0; i < 1000; i++) client.mux.receive(ping);
    },
    { code: "limit" },
  );
});

const headerOf = (type: FrameType, id: number, length: number) =>
  frame(type, id, Buffer.alloc(length)).subarray(0, 8);

for (const [name, bytes] of [
  ["a frame of no known type", frame(9 as 8, 1, Buffer.alloc(0))],
  ["a ping that is too long", headerOf(FrameType.ping, 0, 9)],
  ["a window without a number", headerOf(FrameType.window, 1, 0)],
  ["a control message of 1 MB", headerOf(FrameType.control, 0, 1_000_000)],
  ["a stream with the number 0", frame(FrameType.open, 0, Buffer.alloc(0))],
  [
    "a stream that is opened twice",
    Buffer.concat([frame(FrameType.open, 1, Buffer.alloc(0)), frame(FrameType.open, 1, Buffer.alloc(0))]),
  ],
  [
    "more data than the window",
    Buffer.concat([
      frame(FrameType.open, 1, Buffer.alloc(0)),
      frame(FrameType.data, 1, Buffer.alloc(70_000)),
    ]),
  ],
  [
    "data after the end",
    Buffer.concat([
      frame(FrameType.open, 1, Buffer.alloc(0)),
      frame(FrameType.end, 1, Buffer.alloc(0)),
      frame(FrameType.data, 1, Buffer.from("x")),
    ]),
  ],
  ["HTTP", Buffer.from("GET / HTTP/1.1\r\n\r\n")],
] as const) {
  test(`the connection is given up at ${name}`, () => {
    const client = new End("client");
    assert.throws(() => client.mux.receive(bytes), { name: "MuxError", code: "protocol" });
  });
}

test("a client that opens a stream is given up", () => {
  assert.throws(() => new End("relay").mux.receive(frame(FrameType.open, 1, Buffer.alloc(0))), {
    code: "protocol",
  });
});

test("whatever is said on many streams, cut anywhere, arrives whole and in order", () => {
  const action = fc.record({
    stream: fc.nat(4),
    side: fc.constantFrom("relay" as const, "client" as const),
    bytes: fc.nat(5000),
    what: fc.constantFrom("write", "write", "write", "consume", "end"),
    cut: fc.nat(300),
  });
  fc.assert(
    fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
      const { relay, client } = pair({ firstWindow: 2000 });
      const near = Array.from({ length: 5 }, (_, i) => relay.open(String(i)));
      client.mux.receive(relay.output());
      const far = client.opened;
      const sent = near.map(() => ({ relay: 0, client: 0 }));
      const owed = near.map(() => ({ relay: 0, client: 0 }));
      const got = (i: number, side: "relay" | "client") => (side === "relay" ? near[i]!.seen : far[i]!.seen);
      const over = near.map(() => ({ relay: false, client: false }));
      const move = (from: End, to: End, cut: number) => {
        const bytes = from.output(4000);
        const at = Math.min(cut, bytes.length);
        to.mux.receive(bytes.subarray(0, at));
        to.mux.receive(bytes.subarray(at));
      };
      for (const { stream: i, side, bytes, what, cut } of actions) {
        const stream = side === "relay" ? near[i]!.stream : far[i]!.stream;
        if (what === "end") {
          over[i]![side] = true;
          stream.end();
        } else if (what === "write" && !over[i]![side]) {
          stream.write(pattern(sent[i]![side], bytes));
          sent[i]![side] += bytes;
        } else {
          const read = got(i, side).bytes.length;
          stream.consumed(read - owed[i]![side]);
          owed[i]![side] = read;
        }
        move(relay, client, cut);
        move(client, relay, cut);
      }
      for (let round = 0; round < 400; round++) {
        for (let i = 0; i < 5; i++)
          for (const side of ["relay", "client"] as const) {
            const read = got(i, side).bytes.length;
            (side === "relay" ? near[i]! : far[i]!).stream.consumed(read - owed[i]![side]);
            owed[i]![side] = read;
          }
        move(relay, client, round);
        move(client, relay, round);
      }
      for (let i = 0; i < 5; i++) {
        assert.deepEqual(far[i]!.seen.bytes, pattern(0, sent[i]!.relay));
        assert.deepEqual(near[i]!.seen.bytes, pattern(0, sent[i]!.client));
        assert.equal(far[i]!.seen.ended, over[i]!.relay);
        assert.equal(near[i]!.seen.ended, over[i]!.client);
      }
    }),
    { numRuns: 60 },
  );
});

test("whatever bytes come, they are frames or a MuxError, and nothing is held", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 10 }), (chunks) => {
      const reader = new FrameReader({ data: () => {}, frame: () => {} });
      try {
        for (const chunk of chunks) reader.push(Buffer.from(chunk));
      } catch (error) {
        assert.ok(error instanceof MuxError);
      }
    }),
    { numRuns: 2000 },
  );
});

/** Bytes that differ by where they stand. */
function pattern(from: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let i = 0; i < length; i++) bytes[i] = (from + i) % 251;
  return bytes;
}

test("a stream is pending until its peer takes it up, sends, ends or cuts it, or until it is given up; told once", () => {
  const ways: [string, (near: MuxStream, far: MuxStream) => void][] = [
    ["takes it up", (_near, far) => far.takeUp()],
    ["sends", (_near, far) => far.write(Buffer.from("x"))],
    ["ends", (_near, far) => far.end()],
    ["cuts", (_near, far) => far.reset("refused")],
    ["given up", (near) => near.reset("cancelled")],
  ];
  for (const [way, act] of ways) {
    const [relay, client] = [new End("relay"), new End("client")];
    const { stream } = relay.open();
    let told = 0;
    stream.onTaken = () => told++;
    stream.write(Buffer.from("early"));
    client.mux.receive(relay.output());
    relay.mux.receive(client.output());
    assert.deepEqual([stream.untaken, told], [true, 0], way);
    const far = client.opened[0]!.stream;
    act(stream, far);
    far.takeUp();
    relay.mux.receive(client.output());
    assert.deepEqual([stream.untaken, told], [false, 1], way);
  }
});

test("a stream whose connection is lost is pending no more", () => {
  const relay = new End("relay");
  const { stream } = relay.open();
  let told = 0;
  stream.onTaken = () => told++;
  relay.mux.close();
  assert.deepEqual([stream.untaken, told], [false, 1]);
});
