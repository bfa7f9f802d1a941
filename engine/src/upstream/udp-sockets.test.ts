import assert from "node:assert/strict";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { afterEach, describe, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import fc from "fast-check";
import type { Endpoint } from "../endpoint.ts";
import { udpBatch } from "./udp-batch.ts";
import { DgramSocket } from "./udp-dgram.ts";
import type { UdpSocket, UdpSocketOwner } from "./udp-socket.ts";

interface Heard {
  readonly source: Endpoint;
  readonly payload: Buffer;
}

/** Keeps all that it hears, until someone waits for it. */
class Listener implements UdpSocketOwner {
  readonly heard: Heard[] = [];
  readonly errors: Error[] = [];
  #wake: () => void = () => {};

  onDatagram(source: Endpoint, payload: Buffer): void {
    this.heard.push({ source, payload });
    this.#wake();
  }

  onError(error: Error): void {
    this.errors.push(error);
    this.#wake();
  }

  async until(isDone: () => boolean): Promise<void> {
    const deadline = AbortSignal.timeout(10_000);
    while (!isDone()) {
      deadline.throwIfAborted();
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        deadline.addEventListener("abort", () => resolve(), { once: true });
      });
    }
  }
}

type Open = (family: 4 | 6, owner: UdpSocketOwner) => UdpSocket;

/** Closed after each test: a socket that is open keeps the process alive. */
const opened: UdpSocket[] = [];
afterEach(() => {
  for (const socket of opened.splice(0)) socket.close();
});

const batch = udpBatch();
const openBatched: Open = (family, owner) => keep(batch!.open(family, undefined, owner));
const noBatch =
  process.platform === "linux"
    ? process.env["CI"] === undefined && "native/udp is not built: `npm run build:native` builds it"
    : "native/udp is Linux's";

describe("a UDP socket in a batch", { skip: batch ? false : noBatch }, () => {
  behavesAsOne(openBatched);

  test("is not made of what is no descriptor", () => {
    assert.throws(() => batch!.open(4, 1 << 20, new Listener()), { code: "EBADF" });
  });

  test("sends datagrams of whatever lengths, in their order, none joined and none split", async () => {
    await using peer = await Peer.open();
    const socket = openBatched(4, new Listener());
    assert.ok(socket.connect(peer.address));
    const lengths = fc.array(
      fc.record({ length: fc.oneof(fc.nat(3), fc.constantFrom(64, 1200, 9000)), times: fc.nat(6) }),
      { maxLength: 6 },
    );
    await fc.assert(
      fc.asyncProperty(lengths, async (runs) => {
        const payloads = runs.flatMap(({ length, times }) => Array.from({ length: times }, () => length));
        const expected = payloads.map((length, index) => Buffer.alloc(length, index));
        peer.heard.length = 0;
        for (const payload of expected) socket.send(peer.address.host, peer.address.port, payload);
        await peer.until(expected.length);
        assert.deepEqual(peer.heard, expected);
      }),
      { numRuns: 100 },
    );
  });

  test("takes more in one turn than the shared memory holds", async () => {
    await using peer = await Peer.open();
    const socket = openBatched(4, new Listener());
    const payloads = Array.from({ length: 12 }, (_, index) => Buffer.alloc(60_000, index));
    for (const payload of payloads) {
      socket.send(peer.address.host, peer.address.port, payload);
      // Loopback's receiver has room for a few only.
      await peer.until(payload[0]! + 1);
    }
    const small = Array.from({ length: 200 }, (_, index) => Buffer.of(index, 1));
    for (const payload of small) socket.send(peer.address.host, peer.address.port, payload);
    await peer.until(payloads.length + small.length);
    assert.deepEqual(peer.heard, [...payloads, ...small]);
  });

  test("hears nothing any more once another's owner has closed it, in the middle of a burst", async () => {
    const [first, second] = [new Listener(), new Listener()];
    const sockets = [first, second].map((owner) => openBatched(4, owner));
    await using peer = await Peer.open();
    for (const socket of sockets) socket.send(peer.address.host, peer.address.port, Buffer.from("hello"));
    await peer.until(2);
    const closeAll = (): void => {
      for (const socket of sockets) socket.close();
    };
    let told = 0;
    for (const owner of [first, second]) {
      owner.onDatagram = () => {
        told++;
        closeAll();
      };
    }
    peer.answerAll(Buffer.from("there"));
    // It is there when the loop has gone round to it; the peer's own socket was told before.
    while (told === 0) await turn();
    await turn();
    await turn();
    assert.equal(told, 1);
    // The poller is waited for anew.
    const third = new Listener();
    const socket = openBatched(4, third);
    socket.send(peer.address.host, peer.address.port, Buffer.from("again"));
    await peer.until(3);
    peer.answerAll(Buffer.from("there"), 2);
    await third.until(() => third.heard.length === 1);
  });
});

describe("a UDP socket of Node's", () => {
  behavesAsOne((family, owner) => keep(new DgramSocket(family, undefined, owner)));
});

function keep(socket: UdpSocket): UdpSocket {
  opened.push(socket);
  return socket;
}

function behavesAsOne(open: Open): void {
  for (const [family, host] of [
    [4, "127.0.0.1"],
    [6, "::1"],
  ] as const) {
    test(`hears from each peer of IPv${family} under its own address`, async () => {
      await using one = await Peer.open(host);
      await using other = await Peer.open(host);
      const listener = new Listener();
      const socket = open(family, listener);
      for (const peer of [one, other, one]) socket.send(host, peer.address.port, Buffer.from("?"));
      await one.until(2);
      await other.until(1);
      one.answerAll(Buffer.from("one"));
      other.answerAll(Buffer.from("other"));
      await listener.until(() => listener.heard.length === 3);
      for (const { source, payload } of listener.heard) {
        const expected = payload.toString() === "one" ? one : other;
        assert.deepEqual(source, expected.address);
      }
    });
  }

  test("connected to a peer it sends to nobody else, and goes on after a refusal", async () => {
    const peer = await Peer.open();
    const { host, port } = peer.address;
    const listener = new Listener();
    const socket = open(4, listener);
    assert.ok(socket.connect(peer.address));
    await using stranger = await Peer.open();
    socket.send(host, stranger.address.port, Buffer.from("?"));
    await peer[Symbol.asyncDispose]();
    socket.send(host, port, Buffer.from("?"));
    await listener.until(() => listener.errors.length > 0);
    assert.equal((listener.errors[0] as NodeJS.ErrnoException).code, "ECONNREFUSED");
    await using again = await Peer.open(host, port);
    socket.send(host, port, Buffer.from("!"));
    await again.until(1);
    assert.deepEqual(again.heard, [Buffer.from("!")]);
    assert.deepEqual(stranger.heard, []);
  });

  test("loses a datagram that is too large, and one to what is no address, and no other", async () => {
    await using peer = await Peer.open();
    const socket = open(4, new Listener());
    const { host, port } = peer.address;
    socket.send(host, port, Buffer.alloc(65_508));
    socket.send(host, port, Buffer.alloc(1 << 20));
    socket.send("::1", port, Buffer.from("?"));
    socket.send(host, port, Buffer.from("!"));
    await peer.until(1);
    assert.deepEqual(peer.heard, [Buffer.from("!")]);
  });

  test("sends what it was given before it is closed, and nothing after", async () => {
    await using peer = await Peer.open();
    const { host, port } = peer.address;
    const socket = open(4, new Listener());
    socket.send(host, port, Buffer.from("before"));
    socket.close();
    socket.send(host, port, Buffer.from("after"));
    socket.close();
    const last = open(4, new Listener());
    last.send(host, port, Buffer.from("last"));
    await peer.until(2);
    assert.deepEqual(peer.heard.map(String).toSorted(), ["before", "last"]);
  });
}

/** Whoever is sent to. */
class Peer implements AsyncDisposable {
  readonly heard: Buffer[] = [];
  readonly #sources: Endpoint[] = [];
  readonly #socket: Socket;
  #closed = false;

  static async open(host = "127.0.0.1", port = 0): Promise<Peer> {
    const socket = createSocket({ type: host.includes(":") ? "udp6" : "udp4", recvBufferSize: 1 << 20 });
    socket.bind(port, host);
    await once(socket, "listening");
    return new Peer(socket);
  }

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("message", (payload, { address, port }) => {
      this.heard.push(payload);
      this.#sources.push({ host: address, port });
    });
  }

  get address(): Endpoint {
    const { address, port } = this.#socket.address();
    return { host: address, port };
  }

  /** Answers each datagram that came, but the first `skipped`. */
  answerAll(payload: Buffer, skipped = 0): void {
    for (const { host, port } of this.#sources.slice(skipped)) this.#socket.send(payload, port, host);
  }

  async until(count: number): Promise<void> {
    const signal = AbortSignal.timeout(10_000);
    while (this.heard.length < count) await once(this.#socket, "message", { signal });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#socket.close();
    await once(this.#socket, "close");
  }
}
