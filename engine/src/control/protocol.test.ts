import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ControlError } from "./control-error.ts";
import {
  type Channel,
  ClientSession,
  MAX_CALLS,
  MAX_STREAMS,
  MAX_UNREAD_BYTES,
  ServerSession,
  serverMessage,
  type Source,
} from "./protocol.ts";

/** A client's connection that keeps what it is sent, and takes as much of it off as the test says. */
class TestChannel implements Channel<unknown> {
  readonly sent: unknown[] = [];
  readonly closed: string[] = [];
  bufferedBytes = 0;
  onClose = (): void => undefined;

  send(message: unknown): void {
    this.sent.push(message);
    this.bufferedBytes += JSON.stringify(message).length;
  }

  close(reason: string): void {
    this.closed.push(reason);
    this.onClose();
  }
}

/** Calls that answer now, never, or with a failure; streams that are counted. */
class TestService {
  calls = 0;
  open = 0;
  mostOpen = 0;

  call(name: string): Promise<unknown> {
    this.calls++;
    if (name === "never") return new Promise(() => undefined);
    if (name === "fail") return Promise.reject(new ControlError("conflict", "as asked"));
    if (name === "defect") return Promise.reject(new TypeError("a defect"));
    return Promise.resolve({ name });
  }

  listen(name: string): Source {
    if (name === "fail") throw new ControlError("unknown-call", "as asked");
    this.mostOpen = Math.max(this.mostOpen, ++this.open);
    return {
      intervalMs: 60_000,
      pull: () => {
        if (name === "defect") throw new TypeError("a defect");
        return name === "short" ? { event: 1, ended: true } : { event: name };
      },
      close: () => {
        this.open--;
      },
    };
  }
}

interface Server {
  readonly channel: TestChannel;
  readonly service: TestService;
  readonly session: ServerSession;
}

function server(): Server {
  const channel = new TestChannel();
  const service = new TestService();
  const session = new ServerSession(channel, service);
  channel.onClose = () => session.close();
  return { channel, service, session };
}

const name = fc.constantFrom(
  "ok",
  "never",
  "fail",
  "defect",
  "short",
  "long",
  "__proto__",
  "constructor",
  "",
);
const number = fc.oneof(fc.integer({ min: 1, max: 60 }), fc.integer(), fc.double());
const frame = fc.oneof(
  { weight: 4, arbitrary: fc.record({ type: fc.constantFrom("call", "listen"), id: number, name }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant("cancel"), id: number }) },
  fc.record(
    {
      type: fc.oneof(fc.constantFrom("call", "listen", "cancel"), fc.anything()),
      id: fc.oneof(number, fc.anything()),
      name: fc.oneof(name, fc.string({ maxLength: 100 }), fc.anything()),
      params: fc.anything(),
      more: fc.anything(),
    },
    { requiredKeys: [] },
  ),
  fc.anything({ withNullPrototype: true, withBigInt: true, withMap: true, withSparseArray: true }),
  fc.json().map((text) => JSON.parse(text) as unknown),
);

/** Lets answers of calls that are done arrive. */
const settle = () => new Promise((resolve) => setImmediate(resolve));

test("no frames make a server throw, answer what its contract has not, or hold more than its caps", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(frame, { maxLength: 150 }), async (frames) => {
      const { channel, service, session } = server();
      for (const message of frames) {
        session.receive(message);
        assert.ok(service.open <= MAX_STREAMS);
      }
      await settle();
      for (const answer of channel.sent) serverMessage.parse(answer);
      // A frame has an answer and, where it opens a stream, an event and its end.
      assert.ok(channel.sent.length <= 2 * frames.length);
      session.close();
      assert.equal(service.open, 0);
      const { length } = channel.sent;
      for (const message of frames) session.receive(message);
      await settle();
      assert.equal(channel.sent.length, length, "nothing is said after the end");
      assert.equal(service.open, 0);
    }),
    { numRuns: 300 },
  );
});

test("calls without an answer, and streams, are refused beyond their caps; the rest goes on", async () => {
  const { channel, service, session } = server();
  for (let id = 1; id <= 10_000; id++) session.receive({ type: "call", id, name: "never" });
  assert.equal(service.calls, MAX_CALLS);
  channel.bufferedBytes = 0;
  for (let id = 10_001; id <= 20_000; id++) session.receive({ type: "listen", id, name: "long" });
  assert.equal(service.mostOpen, MAX_STREAMS);
  session.receive({ type: "cancel", id: 10_001 });
  session.receive({ type: "listen", id: 20_001, name: "long" });
  assert.equal(service.open, MAX_STREAMS);
  assert.deepEqual(channel.closed, []);
  session.close();
  assert.equal(service.open, 0);
});

test("who sends on and reads nothing is cut off, with what it listened to", () => {
  const { channel, service, session } = server();
  session.receive({ type: "listen", id: 1, name: "long" });
  channel.bufferedBytes = MAX_UNREAD_BYTES - 64 * 1024;
  let frames = 0;
  while (channel.closed.length === 0 && frames++ < 10_000) session.receive("not of this protocol");
  assert.deepEqual(channel.closed, ["the answers are not being read"]);
  assert.ok(channel.bufferedBytes < MAX_UNREAD_BYTES + 1024);
  assert.equal(service.open, 0);
});

test("no answers make a client throw, and whoever waits hears of the end once", async () => {
  const answers = fc.array(
    fc.oneof(
      fc.record({
        type: fc.constantFrom("result", "event", "end", "error"),
        id: fc.integer({ min: 0, max: 5 }),
      }),
      fc.record({
        type: fc.constant("error"),
        id: fc.integer({ min: 0, max: 5 }),
        error: fc.record({ code: fc.constantFrom("internal", "limit", "?"), message: fc.string() }),
      }),
      fc.anything({ withNullPrototype: true, withBigInt: true }),
    ),
    { maxLength: 60 },
  );
  await fc.assert(
    fc.asyncProperty(answers, async (messages) => {
      const channel: Channel<unknown> = {
        send: () => undefined,
        bufferedBytes: 0,
        close: () => undefined,
      };
      const client = new ClientSession(channel);
      const calls = [1, 2].map(() => client.call("status", {}).catch((error: unknown) => error));
      const ends = [0, 0];
      for (const i of [0, 1]) {
        client.listen(
          "metrics",
          {},
          {
            onEvent: () => assert.equal(ends[i], 0, "no event after the end"),
            onEnd: () => ends[i]!++,
            onError: () => ends[i]!++,
          },
        );
      }
      for (const message of messages) client.receive(message);
      client.close(new ControlError("closed", "the end"));
      client.close(new ControlError("closed", "the end"));
      await Promise.all(calls);
      assert.deepEqual(ends, [1, 1]);
    }),
    { numRuns: 300 },
  );
});
