import assert from "node:assert/strict";
import { once } from "node:events";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { DialError } from "@sockeye/engine";
import type { Prompter } from "@sockeye/engine/upstream/prompter";
import { skipWithoutSshd, startSshd, type Sshd } from "../peers/sshd.ts";
import {
  echo,
  exchange,
  readAll,
  startTarget,
  upstreamFor,
  type Target,
  type TestUpstream,
  type UpstreamOverrides,
} from "../peers/ssh-upstream.ts";

/** The error that a dial ends with. */
async function failure(bastion: TestUpstream, endpoint = { host: "127.0.0.1", port: 9 }): Promise<DialError> {
  try {
    (await bastion.dial(endpoint)).destroy();
  } catch (error) {
    return error as DialError;
  }
  throw new Error("the dial was expected to fail");
}

describe("when a real sshd misbehaves", { skip: skipWithoutSshd() }, () => {
  let sshd: Sshd;
  let target: Target;
  before(async () => {
    [sshd, target] = await Promise.all([startSshd({ hostKeys: ["ed25519"] }), startTarget(echo)]);
  });
  after(async () => {
    await target[Symbol.asyncDispose]();
    await sshd.stop();
  });

  test("killed mid-transfer, the flow ends with an error, not as if it were whole, and the next dial connects again", async () => {
    await using source = await startTarget((socket) => {
      const pour = (): void => {
        while (socket.writable && socket.write(Buffer.alloc(65_536)));
      };
      socket.on("drain", pour).on("end", () => socket.end());
      pour();
    });
    await using bastion = upstreamFor(sshd);
    const stream = await bastion.dial(source.endpoint);
    const outcome = readAll(stream).then(
      () => "whole",
      (error: unknown) => error as DialError,
    );
    await sleep(50);
    sshd.killConnections();
    const error = await outcome;
    assert.notEqual(error, "whole");
    assert.equal((error as DialError).code, "closed");
    assert.equal((error as DialError).scope, "upstream");
    assert.equal(await exchange(await bastion.dial(target.endpoint)), "ping");
    assert.deepEqual(bastion.events, ["connected", "disconnected", "connected", "reconnect"]);
    assert.equal(bastion.upstream.status().pool.ready, 1);
  });

  test("a connection in use is made again before anybody asks", async () => {
    await using bastion = upstreamFor(sshd);
    (await bastion.dial(target.endpoint)).on("error", () => undefined);
    sshd.killConnections();
    await until(() => bastion.events.includes("reconnect"));
    assert.equal(bastion.upstream.status().state, "connected");
  });

  test("a peer that has gone silent is noticed by keepalives within interval times count", async () => {
    await using bastion = upstreamFor(sshd, { config: { keepalive_interval: 0.3, keepalive_count_max: 3 } });
    const stream = await bastion.dial(target.endpoint);
    const ended = once(stream, "error");
    sshd.pause();
    const since = performance.now();
    try {
      const [error] = (await ended) as [DialError];
      const elapsed = performance.now() - since;
      assert.equal(error.code, "closed");
      assert.match(error.message, /has not answered for/);
      assert.ok(elapsed < 1200, `it took ${elapsed} ms`);
      assert.deepEqual(bastion.events, ["connected", "disconnected"]);
    } finally {
      sshd.resume();
    }
  });

  test("after sleep, a refresh finds the dead connection within seconds, whatever the keepalive interval", async () => {
    await using bastion = upstreamFor(sshd, { config: { keepalive_interval: 60 } });
    const stream = await bastion.dial(target.endpoint);
    const ended = once(stream, "error");
    sshd.pause();
    try {
      const since = performance.now();
      bastion.upstream.refresh();
      await ended;
      assert.ok(performance.now() - since < 3500);
    } finally {
      sshd.resume();
    }
  });

  test("a refused target costs the connection nothing", async () => {
    await using bastion = upstreamFor(sshd);
    const kept = await bastion.dial(target.endpoint);
    const connections = sshd.connections();
    const error = await failure(bastion, { host: "127.0.0.1", port: 1 });
    assert.equal(error.code, "refused");
    assert.equal(error.scope, "target");
    const unknown = await failure(bastion, { host: "no-such-name.invalid", port: 80 });
    assert.equal(unknown.code, "dns", unknown.message);
    assert.equal(await exchange(kept), "ping");
    assert.equal(sshd.connections(), connections);
    assert.deepEqual(bastion.events, ["connected"]);
    assert.equal(bastion.upstream.status().pool.active, 0);
  });

  test("a dial that is cancelled leaves no channel behind", async () => {
    await using bastion = upstreamFor(sshd);
    await exchange(await bastion.dial(target.endpoint));
    const controller = new AbortController();
    const dialling = bastion.upstream.dial(target.endpoint, { signal: controller.signal });
    controller.abort();
    await assert.rejects(dialling, { code: "cancelled" });
    assert.equal(bastion.upstream.status().pool.active, 0);
    assert.equal(await exchange(await bastion.dial(target.endpoint)), "ping");
  });

  test("AllowTcpForwarding no is forbidden, and the connection stays", async () => {
    await using strict = await startSshd({ hostKeys: ["ed25519"], config: ["AllowTcpForwarding no"] });
    await using bastion = upstreamFor(strict);
    assert.equal((await failure(bastion, target.endpoint)).code, "forbidden");
    assert.equal((await failure(bastion, target.endpoint)).code, "forbidden");
    assert.equal(strict.connections(), 1);
    assert.deepEqual(bastion.events, ["connected"]);
  });

  test("MaxSessions, which OpenSSH counts for shells alone, does not limit targets", async () => {
    await using small = await startSshd({ hostKeys: ["ed25519"], config: ["MaxSessions 1"] });
    await using bastion = upstreamFor(small);
    const streams = await Promise.all(Array.from({ length: 20 }, async () => bastion.dial(target.endpoint)));
    assert.deepEqual(
      await Promise.all(streams.map(async (stream) => exchange(stream))),
      streams.map(() => "ping"),
    );
    assert.equal(small.connections(), 1);
  });

  test("a question that nobody answers is withdrawn when the server loses patience", async () => {
    await using hasty = await startSshd({ hostKeys: ["ed25519"], config: ["LoginGraceTime 1"] });
    let withdrawn = false;
    const prompter: Prompter = {
      ask: async (_prompt, signal) => {
        await once(signal, "abort");
        withdrawn = true;
        return undefined;
      },
    };
    const config = { identity_file: [hasty.encryptedIdentityFile] };
    await using bastion = upstreamFor(hasty, { config, prompter, connectTimeout: 0.5 });
    const error = await failure(bastion, target.endpoint);
    assert.equal(error.code, "closed");
    assert.equal(error.step, "auth");
    await until(() => withdrawn);
  });

  test("a pool spreads over its size when busy, and no further", async () => {
    const before = sshd.connections();
    await using bastion = upstreamFor(sshd, { config: { pool_size: 3, strategy: "least-connections" } });
    const streams: Duplex[] = [];
    for (let count = 0; count < 9; count++) {
      streams.push(await bastion.dial(target.endpoint));
      await until(() => bastion.upstream.status().pool.connecting === 0);
    }
    assert.equal(sshd.connections(), before + 3);
    assert.equal(bastion.upstream.status().pool.ready, 3);
    await bastion.upstream.close(0);
    await until(() => streams.every((stream) => stream.destroyed));
    await until(() => sshd.connections() === before);
  });

  test("close waits for what is open, takes nothing new, and cuts what outlasts it", async () => {
    await using bastion = upstreamFor(sshd);
    const quick = await bastion.dial(target.endpoint);
    const lasting = await bastion.dial(target.endpoint);
    const ended = once(lasting, "error");
    const since = performance.now();
    const closing = bastion.upstream.close(300);
    await assert.rejects(bastion.dial(target.endpoint), { code: "closed", scope: "upstream" });
    assert.equal(await exchange(quick), "ping");
    await closing;
    assert.ok(performance.now() - since >= 290);
    assert.equal(((await ended) as [DialError])[0].code, "closed");
  });

  test("a server that is down fails dials at once, and is found when it is back", async () => {
    await using flaky = await startSshd({ hostKeys: ["ed25519"] });
    await using bastion = upstreamFor(flaky);
    await flaky.kill();
    const first = await failure(bastion, target.endpoint);
    assert.equal(first.code, "refused");
    assert.equal(first.scope, "upstream");
    assert.equal(bastion.upstream.status().state, "failing");
    assert.equal(bastion.upstream.status().lastError?.code, "refused");
    for (let tries = 0; tries < 3; tries++) await failure(bastion, target.endpoint);
    const since = performance.now();
    assert.match((await failure(bastion, target.endpoint)).message, /next try in \d+ s/);
    assert.ok(performance.now() - since < 100);
    await flaky.restart();
    bastion.upstream.refresh();
    assert.equal(await exchange(await bastion.dial(target.endpoint)), "ping");
  });

  describe("or something else answers", () => {
    const cases: readonly [string, (socket: Socket) => void, Partial<DialError>, RegExp][] = [
      [
        "another protocol's answer",
        (socket) => socket.write("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n".repeat(1100)),
        { code: "protocol", step: "handshake" },
        /does not speak SSH/,
      ],
      [
        "a line without an end",
        (socket) => socket.write(Buffer.alloc(100_000, 65)),
        { code: "protocol", step: "handshake" },
        /does not speak SSH/,
      ],
      [
        "a banner and then garbage",
        (socket) => socket.write(Buffer.concat([Buffer.from("SSH-2.0-x\r\n"), Buffer.alloc(4096, 0xff)])),
        { code: "protocol", step: "handshake" },
        /SSH/,
      ],
      [
        "a connection closed at once",
        (socket) => socket.end(),
        { code: "closed", step: "handshake" },
        /closed the connection during the SSH handshake/,
      ],
      [
        "silence",
        () => undefined,
        { code: "timeout", step: "handshake" },
        /did not get through the SSH handshake within 0.4 s/,
      ],
      [
        "silence after the banner",
        (socket) => socket.write("SSH-2.0-OpenSSH_9.2\r\n"),
        { code: "timeout", step: "handshake" },
        /did not get through the SSH handshake/,
      ],
    ];
    for (const [name, serve, expected, sentence] of cases) {
      test(`${name} is a ${expected.code ?? ""} error of the upstream, in time`, async () => {
        await using impostor = await startTarget(serve);
        const overrides: UpstreamOverrides = {
          config: { address: `127.0.0.1:${impostor.endpoint.port}` },
          connectTimeout: 0.4,
        };
        await using bastion = upstreamFor(sshd, overrides);
        const since = performance.now();
        const error = await failure(bastion);
        assert.ok(performance.now() - since < 900);
        assert.equal(error.code, expected.code, error.message);
        assert.equal(error.step, expected.step);
        assert.equal(error.scope, "upstream");
        assert.match(error.message, sentence);
      });
    }
  });
});

async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 5000;
  while (!condition()) {
    assert.ok(Date.now() < deadline, "it did not come about within five seconds");
    await sleep(10);
  }
}
