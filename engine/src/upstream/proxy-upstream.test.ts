import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { after, before, describe, it } from "node:test";
import { startEcho, startTcpServer, type TcpPeer } from "../../../test/peers/echo.ts";
import { assertAnswers, dialFailure, soon, until } from "../../../test/peers/exercise.ts";
import { freePort } from "../../../test/peers/peer-process.ts";
import { httpTo, recordEvents, recordLog, socks5To } from "../../../test/peers/upstreams.ts";
import { DialError } from "../errors.ts";
import type { Upstream } from "./upstream.ts";

const target = { host: "target.example", port: 443 };
const HALF_CLOSE = { halfClose: true };
const SOCKS_OK = Buffer.of(5, 0, 0, 1, 127, 0, 0, 1, 0, 80);
const HTTP_OK = Buffer.from("HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n");

/** A proxy that answers each message with the next of `answers`, then echoes: the far end in one. */
function scriptedProxy(
  answers: readonly (Buffer | ((socket: Socket) => void))[],
  port = 0,
): Promise<TcpPeer> {
  const serve = (socket: Socket) => {
    let next = 0;
    socket.on("data", (chunk: Buffer) => {
      const answer = answers[next++];
      if (answer === undefined) socket.write(chunk);
      else if (Buffer.isBuffer(answer)) socket.write(answer);
      else answer(socket);
    });
    socket.on("end", () => socket.end());
  };
  return startTcpServer(serve, { port });
}

/** Writes one byte at a time, each in its own segment. */
function trickle(bytes: Buffer): (socket: Socket) => void {
  return (socket) => {
    let at = 0;
    const timer = setInterval(() => {
      socket.write(bytes.subarray(at, ++at));
      if (at === bytes.length) clearInterval(timer);
    }, 1);
  };
}

interface Kind {
  readonly name: string;
  readonly make: typeof socks5To | typeof httpTo;
  /** What a proxy says before the answer to the request, and that answer. */
  readonly greeting: readonly Buffer[];
  readonly ok: Buffer;
}

const kinds: readonly Kind[] = [
  { name: "SOCKS5", make: socks5To, greeting: [Buffer.of(5, 0)], ok: SOCKS_OK },
  { name: "HTTP", make: httpTo, greeting: [], ok: HTTP_OK },
];

for (const { name, make, greeting, ok } of kinds) {
  describe(`an upstream by ${name} whose proxy misbehaves`, () => {
    async function withProxy(
      answers: Parameters<typeof scriptedProxy>[0],
      use: (upstream: Upstream, proxy: TcpPeer) => Promise<void>,
      poolSize = 0,
    ): Promise<void> {
      const proxy = await scriptedProxy(answers);
      const upstream = make(proxy, { config: { pool_size: poolSize } });
      try {
        await use(upstream, proxy);
      } finally {
        await upstream.close(0);
        await until(() => proxy.open === 0, "no connection left at the proxy");
        await proxy.stop();
      }
    }

    it("hands over what came in one segment with the end of the handshake", () =>
      withProxy([...greeting, Buffer.concat([ok, Buffer.from("220 early\r\n")])], async (upstream) => {
        const stream = await upstream.dial(target, { signal: soon() });
        await assertAnswers(stream, "late", "220 early\r\nlate", HALF_CLOSE);
      }));

    it("reads answers that come byte by byte", () =>
      withProxy([...greeting.map(trickle), trickle(ok)], async (upstream) => {
        const stream = await upstream.dial(target, { signal: soon() });
        await assertAnswers(stream, "hello", "hello", HALF_CLOSE);
      }));

    it("leaves no listener of its own on the stream but the one that guards errors", () =>
      withProxy([...greeting, ok], async (upstream) => {
        const stream = await upstream.dial(target, { signal: soon() });
        // A socket listens to its own end.
        assert.deepEqual(
          ["data", "end", "readable", "drain", "connect"].map((event) => stream.listenerCount(event)),
          [0, 1, 0, 0, 0],
        );
        assert.equal(stream.isPaused(), true);
        assert(stream.listenerCount("error") >= 1);
        stream.destroy(new Error("nobody listens, and nothing is thrown"));
      }));

    it("ends in `protocol` when the proxy speaks something else", () =>
      withProxy([Buffer.from("SSH-2.0-OpenSSH_9.2\r\n\r\n")], async (upstream) => {
        const failure = await dialFailure(upstream, target);
        assert.equal(`${failure.code} ${failure.scope}`, "protocol upstream");
      }));

    it("ends in `closed` when the proxy hangs up instead of answering", () =>
      withProxy([...greeting, (socket) => socket.destroy()], async (upstream, proxy) => {
        assert.equal((await dialFailure(upstream, target)).code, "closed");
        assert.equal(proxy.accepted, 1, "a fresh connection is not tried twice");
      }));

    it("ends in `closed` when the proxy hangs up in the middle of its answer", () =>
      withProxy([...greeting, (socket) => socket.end(ok.subarray(0, 5))], async (upstream) => {
        const failure = await dialFailure(upstream, target);
        assert.equal(failure.code, "closed");
        assert.match(failure.message, /middle/);
      }));

    it("ends with the signal's own reason when the proxy stalls, and cuts the connection at once", () =>
      withProxy([...greeting, () => {}], async (upstream, proxy) => {
        const controller = new AbortController();
        const reason = new DialError("timeout", "too slow");
        const failed = dialFailure(upstream, target, controller.signal);
        await until(() => proxy.open === 1, "the proxy was reached");
        setTimeout(() => controller.abort(reason), 30);
        assert.equal((await failed).message, "too slow");
        await until(() => proxy.open === 0, "the connection was cut");
      }));

    it("retries once, afresh, when a warm connection turns out to be dead", () => {
      // The second connection, warm, dies when it is asked; the others work.
      let request = 0;
      const answer = (socket: Socket) => (++request === 2 ? socket.destroy() : socket.write(ok));
      return withProxy(
        [...greeting, answer],
        async (upstream) => {
          (await upstream.dial(target, { signal: soon() })).destroy();
          await until(() => upstream.status().pool.ready === 1, "a warm connection");
          const stream = await upstream.dial(target, { signal: soon() });
          await assertAnswers(stream, "hello", "hello", HALF_CLOSE);
          assert.equal(request, 3);
        },
        1,
      );
    });

    it("drops a warm connection on which the proxy speaks or which it ends", async () => {
      const sockets: Socket[] = [];
      const proxy = await startTcpServer((socket) => {
        sockets.push(socket);
        let next = 0;
        const answers = [...greeting, ok];
        socket.on("data", () => socket.write(answers[next++] ?? ""));
        socket.on("end", () => socket.end());
      });
      const upstream = make(proxy, { config: { pool_size: 1 } });
      (await upstream.dial(target, { signal: soon() })).destroy();
      for (const spoil of [(socket: Socket) => socket.write("408"), (socket: Socket) => socket.end()]) {
        await until(() => upstream.status().pool.ready === 1, "a warm connection");
        spoil(sockets.at(-1)!);
        await until(() => upstream.status().pool.ready === 0, "it was dropped");
      }
      await until(() => upstream.status().pool.ready === 1, "it was replaced");
      await upstream.close(0);
      await until(() => proxy.open === 0, "no connection left at the proxy");
      await proxy.stop();
    });

    it("keeps nothing of dials that are cancelled at any moment", () =>
      withProxy(
        [...greeting, ok],
        async (upstream, proxy) => {
          const dials = Array.from({ length: 200 }, async (_, i) => {
            const controller = new AbortController();
            const dial = upstream.dial(target, { signal: controller.signal });
            setTimeout(() => controller.abort(), i % 20);
            const stream = await dial.catch((error: unknown) => {
              assert(error instanceof DialError);
              assert.equal(error.code, "cancelled");
              return undefined;
            });
            stream?.destroy();
          });
          await Promise.all(dials);
          upstream.refresh();
          await until(
            () => proxy.open <= upstream.status().pool.ready && upstream.status().pool.active === 0,
            "only warm connections are open",
          );
          await upstream.close(0);
          await until(() => !process.getActiveResourcesInfo().includes("TCPSocketWrap"), "no socket is left");
        },
        2,
      ));
  });

  describe(`an upstream by ${name}`, () => {
    it("tells that it can't reach its proxy, and when it can again", async () => {
      const events = recordEvents();
      const port = await freePort();
      const upstream = make({ host: "127.0.0.1", port }, { events });
      const failure = await dialFailure(upstream, target);
      assert.equal(`${failure.code} ${failure.scope} ${failure.step}`, "refused upstream tcp");
      assert.equal(upstream.status().state, "failing");
      assert.equal(upstream.status().lastError?.code, "refused");
      const answers = [...greeting, ok];
      const proxy = await scriptedProxy(answers, port);
      const stream = await upstream.dial(target, { signal: soon() });
      assert.deepEqual(events.lines, ["failing", "connected"]);
      assert.equal(upstream.status().state, "connected");
      assert((upstream.status().latencyMs ?? -1) > 0);
      await proxy.stop();
      stream.destroy();
      upstream.refresh();
      assert.equal((await dialFailure(upstream, target)).scope, "upstream");
      const again = await scriptedProxy(answers, port);
      (await upstream.dial(target, { signal: soon() })).destroy();
      assert.deepEqual(events.lines, ["failing", "connected", "failing", "reconnect", "connected"]);
      await upstream.close(0);
      await again.stop();
    });

    it("drains: takes no more dials, waits for its streams, and cuts them in the end", async () => {
      const proxy = await scriptedProxy([...greeting, ok]);
      const upstream = make(proxy);
      const first = await upstream.dial(target, { signal: soon() });
      const closed = upstream.close(5000);
      assert.equal((await dialFailure(upstream, target)).code, "closed");
      assert.equal(first.destroyed, false);
      first.destroy();
      await closed;
      const other = make(proxy);
      const second = await other.dial(target, { signal: soon() });
      await other.close(20);
      assert.equal(second.destroyed, true);
      await until(() => proxy.open === 0, "no connection left at the proxy");
      await proxy.stop();
    });

    it("gives up on a proxy that accepts and says nothing after connect_timeout, in the upstream's name", async () => {
      const mute = await startTcpServer(() => {});
      const config = name === "HTTP" ? { tls: true } : {};
      const upstream = make(mute, { limits: { connect_timeout: 0.1 }, config });
      const started = performance.now();
      const failure = await dialFailure(upstream, target);
      assert.equal(`${failure.code} ${failure.scope}`, "timeout upstream");
      assert(performance.now() - started < 1000);
      await upstream.close(0);
      await mute.stop();
    });
  });
}

describe("an HTTP upstream", () => {
  async function answered(head: string): Promise<DialError> {
    const proxy = await scriptedProxy([Buffer.from(head, "latin1")]);
    const upstream = httpTo(proxy, { config: { pool_size: 0 } });
    try {
      return await dialFailure(upstream, target);
    } finally {
      await upstream.close(0);
      await proxy.stop();
    }
  }

  it("fails at the first byte of an answer that is no HTTP, long before any deadline", async () => {
    const started = performance.now();
    const failure = await answered("\x05\xff");
    assert.equal(`${failure.code} ${failure.scope}`, "protocol upstream");
    assert.match(failure.message, /it says "\\x05\\xff"$/);
    assert(performance.now() - started < 1000);
  });

  it("maps each status to its code, without waiting for a body", async () => {
    const codeOf = async (status: string, headers = "Content-Length: 1000000\r\n") => {
      const { code, scope } = await answered(`HTTP/1.1 ${status}\r\n${headers}\r\n`);
      return `${code} ${scope}`;
    };
    assert.equal(await codeOf("407 Who"), "auth upstream");
    assert.equal(await codeOf("403 No"), "forbidden target");
    assert.equal(await codeOf("502 Bad"), "unreachable target");
    assert.equal(await codeOf("503 Busy"), "unreachable target");
    assert.equal(await codeOf("503 Busy", "X-Squid-Error: ERR_DNS_FAIL 0\r\n"), "dns target");
    assert.equal(await codeOf("504 Late"), "timeout target");
    assert.equal(await codeOf("429 Slow down"), "limit target");
    assert.equal(await codeOf("405 Not here"), "unsupported upstream");
    assert.equal(await codeOf("302 Elsewhere"), "protocol target");
    assert.equal(await codeOf("101 Switching"), "protocol upstream");
  });

  it("quotes a proxy that says a lot no longer than a sentence", async () => {
    const long = "a".repeat(9_000);
    const headers = `Proxy-Authenticate: ${long}\r\nX-Squid-Error: ${long}\r\n\r\n`;
    for (const status of [407, 403, 101]) {
      const failure = await answered(`HTTP/1.1 ${status} ${long}\r\n${headers}`);
      assert.match(failure.message, new RegExp(`answered .*${status} a+…`));
      assert.ok(failure.message.length < 500, `${status}: ${failure.message.length} characters`);
    }
  });

  it("refuses a head without end at its cap", async () => {
    const failure = await answered(`HTTP/1.1 200 OK\r\nX: ${"a".repeat(40_000)}`);
    assert.equal(failure.code, "protocol");
    assert.match(failure.message, /longer than 32768 bytes/);
  });

  it("reads past interim answers", async () => {
    const proxy = await scriptedProxy([Buffer.from(`HTTP/1.1 100 Continue\r\n\r\n${HTTP_OK.toString()}`)]);
    const upstream = httpTo(proxy);
    const stream = await upstream.dial(target, { signal: soon() });
    await assertAnswers(stream, "x", "x", HALF_CLOSE);
    await upstream.close(0);
    await proxy.stop();
  });

  it("sends names as names, IPv6 in brackets, and the credentials at once", async () => {
    const heads: string[] = [];
    const proxy = await startTcpServer((socket) => {
      socket.once("data", (chunk: Buffer) => {
        heads.push(chunk.toString("latin1"));
        socket.write(HTTP_OK);
      });
    });
    const upstream = httpTo(
      { ...proxy, username: "user", password: "pässword" },
      { config: { pool_size: 0 } },
    );
    for (const host of ["target.example", "2001:db8::1", "::ffff:192.0.2.1", "bücher.example"]) {
      (await upstream.dial({ host, port: 443 }, { signal: soon() })).destroy();
    }
    const authorization = `Proxy-Authorization: Basic ${Buffer.from("user:pässword").toString("base64")}`;
    const expected = [
      "target.example:443",
      "[2001:db8::1]:443",
      "192.0.2.1:443",
      "xn--bcher-kva.example:443",
    ];
    assert.deepEqual(
      heads,
      expected.map((to) => `CONNECT ${to} HTTP/1.1\r\nHost: ${to}\r\n${authorization}\r\n\r\n`),
    );
    await upstream.close(0);
    await proxy.stop();
  });
});

describe("the test of an HTTP upstream without a target", () => {
  async function tested(answer: Buffer | ((socket: Socket) => void)) {
    const proxy = await scriptedProxy([answer]);
    const upstream = httpTo(proxy, { config: { pool_size: 0 } });
    try {
      const { ok, steps, failure, notes } = await upstream.test({ signal: soon() });
      assert.equal(failure === undefined, ok);
      const passed = steps.map(({ step }) => step).join(" ");
      return { outcome: `${passed}; ${failure?.code ?? "ok"} at ${failure?.step ?? "none"}`, failure, notes };
    } finally {
      await upstream.close(0);
      await proxy.stop();
    }
  }
  const status = (line: string) => Buffer.from(`HTTP/1.1 ${line}\r\n\r\n`);

  it("passes where the proxy took the credentials, whatever it says of the target", async () => {
    for (const line of ["200 OK", "403 Forbidden", "502 Bad Gateway", "503 Busy", "500 Unable to connect"]) {
      const { outcome, notes } = await tested(status(line));
      assert.equal(`${outcome} ${notes?.length}`, "tcp auth; ok at none undefined", line);
    }
  });

  it("fails where the credentials are refused, where nobody speaks HTTP, and where CONNECT is unknown", async () => {
    assert.equal((await tested(status("407 Who"))).outcome, "tcp; auth at auth");
    assert.equal((await tested(status("405 What"))).outcome, "tcp; unsupported at dial");
    assert.equal((await tested(status("501 What"))).outcome, "tcp; unsupported at dial");
    assert.equal((await tested((socket) => socket.destroy())).outcome, "tcp; closed at auth");
    const { outcome, failure } = await tested(Buffer.from("SSH-2.0-OpenSSH_9.2\r\n"));
    assert.equal(outcome, "tcp; protocol at auth");
    assert.match(failure!.message, /does not speak HTTP: it says "SSH-2\.0-OpenSSH_9\.2"$/);
  });

  it("notes an answer that a plain web server would give", async () => {
    const { outcome, notes } = await tested(status("400 Bad Request"));
    assert.equal(outcome, "tcp auth; ok at none");
    assert.match(notes!.join(), /answered a CONNECT with 400 Bad Request, as a web server would/);
  });
});

describe("a proxy that refuses our credentials", () => {
  const REFUSED = Buffer.from("HTTP/1.1 407 Who\r\n\r\n");
  /** An HTTP proxy that knows one password, and one of SOCKS5 that does. */
  const knowing = (password: () => string) => ({
    HTTP: (socket: Socket) => {
      socket.once("data", (chunk: Buffer) => {
        const token = Buffer.from(`u:${password()}`).toString("base64");
        socket.write(chunk.includes(`Basic ${token}\r\n`) ? HTTP_OK : REFUSED);
      });
    },
    SOCKS5: (socket: Socket) => {
      const answers = [
        () => Buffer.of(5, 2),
        (chunk: Buffer) => Buffer.of(1, chunk.toString().endsWith(password()) ? 0 : 1),
        () => SOCKS_OK,
      ];
      socket.on("data", (chunk: Buffer) => socket.write(answers.shift()!(chunk)));
    },
  });

  for (const { name, make } of kinds) {
    it(`makes the state failing with its error, and a new password in the file is taken up (${name})`, async () => {
      const served = knowing(() => "new")[name as "HTTP" | "SOCKS5"];
      const proxy = await startTcpServer(served);
      const [events, log] = [recordEvents(), recordLog()];
      let secret = "old";
      const upstream = make(
        { ...proxy, username: "u", password: "" },
        { events, log, readSecret: async () => secret },
      );
      for (let tries = 0; tries < 3; tries++) {
        const failure = await dialFailure(upstream, target);
        assert.equal(`${failure.code} ${failure.scope}`, "auth upstream");
        const { state, lastError } = upstream.status();
        assert.equal(`${state} ${lastError?.code}`, "failing auth");
      }
      assert.deepEqual(events.lines, ["failing"]);
      assert.equal(log.lines.filter((line) => line.startsWith("warn")).length, 1, log.lines.join("\n"));
      secret = "new";
      (await upstream.dial(target, { signal: soon() })).destroy();
      assert.equal(upstream.status().state, "connected");
      assert.deepEqual(events.lines, ["failing", "connected"]);
      await upstream.close(0);
      await proxy.stop();
    });
  }
});

describe("every proxy upstream", () => {
  let echo: TcpPeer;
  before(async () => {
    echo = await startEcho();
  });
  after(() => echo.stop());

  it("lets no target through that could be read as something else", async () => {
    for (const make of [socks5To, httpTo]) {
      const upstream = make(echo, { config: { pool_size: 0 } });
      for (const host of ["a b", "a\r\nX: y", "a:1", "a/b", "", "x".repeat(300)]) {
        const failure = await dialFailure(upstream, { host, port: 1 });
        assert.notEqual(failure.code, "internal");
        assert.notEqual(failure.code, "timeout", host);
      }
      await upstream.close(0);
    }
  });

  it("says when its secret can't be read", async () => {
    for (const make of [socks5To, httpTo]) {
      const auth = { username: "u", password: { file: "/nowhere" } };
      const upstream = make(echo, {
        config: { auth },
        readSecret: () => Promise.reject(new Error("no such file")),
      });
      const failure = await dialFailure(upstream, target);
      assert.equal(`${failure.code} ${failure.scope}`, "auth upstream");
      assert.match(failure.message, /no such file/);
      await upstream.close(0);
    }
  });
});
