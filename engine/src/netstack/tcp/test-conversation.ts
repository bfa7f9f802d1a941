import assert from "node:assert/strict";
import type { Duplex } from "node:stream";
import type { TcpConnection } from "./connection.ts";
import { TestStack, type TestStackOptions } from "./test-stack.ts";
import { ACK, decode, encode, FIN, SYN, type Wire } from "./test-wire.ts";

/** Everything that streams put off has run. */
export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const EMPTY = Buffer.alloc(0);

/** An application that a test plays by hand, segment by segment, with one connection of the stack. */
export class Conversation {
  readonly stack: TestStack;
  /** The next sequence number of each side. */
  ours = 1000;
  theirs = 0;
  stream!: Duplex;
  error: (Error & { code?: string }) | undefined;
  closed = false;
  ended = false;
  heard = "";
  readonly #syn: Partial<Wire>;
  #tuple = { source: "10.0.0.1", sourcePort: 40000, target: "192.0.2.7", targetPort: 443 };

  constructor(options: TestStackOptions & { readonly syn?: Partial<Wire> } = {}) {
    this.stack = new TestStack(options);
    this.#syn = options.syn ?? { mss: 1460, windowScale: 0, sackPermitted: true };
  }

  /** A connection in ESTABLISHED. */
  static open(options: TestStackOptions & { readonly syn?: Partial<Wire> } = {}): Conversation {
    const conversation = new Conversation(options);
    conversation.sayHello();
    conversation.say({});
    return conversation;
  }

  get connection(): TcpConnection {
    return this.#connection;
  }
  #connection!: TcpConnection;

  /** The SYN, and our accept(). @returns the SYN-ACK. */
  sayHello(): Wire {
    const attempts = this.stack.attempts.length;
    this.deliver({ flags: SYN, seq: this.ours - 1, ack: 0, ...this.#syn });
    const attempt = this.stack.attempts[attempts];
    assert.ok(attempt, "no attempt");
    this.stream = attempt.accept();
    this.#connection = this.stack.layer.connectionOf(this.stream)!;
    this.stream.on("data", (chunk: Buffer) => (this.heard += chunk.toString("latin1")));
    this.stream.on("end", () => (this.ended = true));
    this.stream.on("error", (error) => (this.error = error));
    this.stream.on("close", () => (this.closed = true));
    this.stream.resume();
    const [synAck] = this.settle();
    this.theirs = (synAck!.seq + 1) >>> 0;
    return synAck!;
  }

  wire(fields: Partial<Wire>): Wire {
    return {
      ...this.#tuple,
      seq: this.ours,
      ack: this.theirs,
      flags: ACK,
      window: 65535,
      payload: EMPTY,
      ...(this.#syn.timestamps && { timestamps: [this.stack.now >>> 0, 0] as const }),
      ...fields,
    };
  }

  /** One segment as it is given; ESTABLISHED's next pure ACK where nothing is. @returns what the stack answers. */
  deliver(...segments: Partial<Wire>[]): Wire[] {
    return this.stack
      .arrive(...segments.map((fields) => encode(this.wire(fields))))
      .map((packet) => decode(packet)!);
  }

  /** As deliver(), and our sequence numbers go on. */
  say(fields: Partial<Wire>): Wire[] {
    const answers = this.deliver(fields);
    this.ours += (fields.payload?.length ?? 0) + ((fields.flags ?? 0) & FIN);
    return answers;
  }

  /** What the stack sends without having heard anything. */
  settle(): Wire[] {
    return this.stack.settle().map((packet) => decode(packet)!);
  }

  after(ms: number): Wire[] {
    return this.stack.after(ms).map((packet) => decode(packet)!);
  }

  /** Ends our stream's writing. @returns what is sent. */
  async end(): Promise<Wire[]> {
    this.stream.end();
    await turn();
    const sent = this.settle();
    for (const { seq, payload, flags } of sent) {
      this.theirs = (seq + payload.length + (flags & FIN)) >>> 0;
    }
    return sent;
  }
}
