import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { Duplex } from "node:stream";
import { test } from "node:test";
import type { AuthContext } from "ssh2";
import type { DialError, Endpoint } from "@sockeye/engine";
import type { Dialer } from "@sockeye/engine/upstream/dialer";
import { sendMessage, startRawServer, type RawServer } from "../peers/raw-ssh-server.ts";
import { answering, upstreamFor, type TestUpstream, type UpstreamOverrides } from "../peers/ssh-upstream.ts";
import type { Sshd } from "../peers/sshd.ts";
import { until } from "../peers/exercise.ts";

/** Each has an answer of some 40 bytes: more than enough for the cap, and for the kernel's buffers before it. */
const MOST_QUESTIONS = 250_000;

/** An upstream that logs in to such a server by password. */
function upstreamOf({ port }: RawServer, via: Dialer, further: UpstreamOverrides = {}): TestUpstream {
  const sshd = { host: "127.0.0.1", port, user: "test", identityFile: "none", directory: tmpdir() };
  return upstreamFor(sshd as Sshd, {
    via,
    ...further,
    config: {
      host_key_check: "off",
      identity_file: [],
      known_hosts_file: [],
      password: { text: "any" },
      ...further.config,
    },
  });
}

const target = { host: "192.0.2.1", port: 80 };

/** The machine's network, where whatever was written last waits for ever once `stall` was called. */
class StallingNetwork implements Dialer {
  #stalled = false;

  stall(): void {
    this.#stalled = true;
  }

  async dial({ port }: Endpoint): Promise<Duplex> {
    const socket = connect(port, "127.0.0.1");
    await once(socket, "connect");
    const stream = new Duplex({
      read: () => socket.resume(),
      write: (chunk: Buffer, _encoding, done) => {
        if (!this.#stalled) socket.write(chunk, done);
      },
      destroy: (error, done) => {
        socket.destroy();
        done(error);
      },
    });
    socket.on("data", (chunk: Buffer) => {
      if (!stream.push(chunk)) socket.pause();
    });
    socket.on("error", () => undefined).on("close", () => stream.destroy());
    return stream;
  }
}

test("a server that asks on without reading our answers loses the connection before they fill the memory", async () => {
  const network = new StallingNetwork();
  let asked = 0;
  let asking: NodeJS.Immediate | undefined;
  await using server = await startRawServer((peer, socket, take) => {
    const ask = (): void => {
      while (!socket.destroyed && !socket.writableNeedDrain && asked < MOST_QUESTIONS) {
        peer.ping();
        asked++;
      }
      if (!socket.destroyed && asked < MOST_QUESTIONS) asking = setImmediate(ask);
    };
    take({
      onOpen: (_, { sender }) => {
        peer.channelOpenConfirm(sender, 7, 1 << 20, 1 << 15);
        asking = setImmediate(ask);
      },
    });
  });
  await using bastion = upstreamOf(server, network);
  try {
    const stream = await bastion.dial(target);
    network.stall();
    await until(() => stream.destroyed || asked === MOST_QUESTIONS, "the connection to be cut", 30_000);
    assert.ok(stream.destroyed, `${asked} questions were asked, and the connection lives`);
    assert.match(stream.errored!.message, /asks on and does not read our answers/);
  } finally {
    clearImmediate(asking);
  }
});

test("whatever a server opens or asks by itself is refused, and nothing is kept of it", async () => {
  const refused: [number, number][] = [];
  const asked: string[] = [];
  const paths = ["constructor", "__proto__", "toString", "/run/x.sock"];
  await using server = await startRawServer((peer, _socket, take) => {
    take({
      onOpen: (_, { sender }) => {
        peer.channelOpenConfirm(sender, 7, 1 << 20, 1 << 15);
        paths.forEach((socketPath, i) =>
          peer.openssh_forwardedStreamLocal(i, 1 << 20, 1 << 15, { socketPath }),
        );
        // SSH_MSG_GLOBAL_REQUEST, as OpenSSH tells of its other host keys: here of none.
        const name = Buffer.from("hostkeys-00@openssh.com");
        sendMessage(peer, Buffer.concat([Buffer.of(80, 0, 0, 0, name.length), name, Buffer.of(0)]));
        peer.channelData(sender, Buffer.from("done"));
      },
      onRefused: (ours, reason) => refused.push([ours, reason]),
      onRequest: (name) => asked.push(name),
    });
  });
  await using bastion = upstreamOf(server, new StallingNetwork());
  const stream = await bastion.dial(target);
  const [word] = (await once(stream, "data")) as [Buffer];
  assert.equal(word.toString(), "done");
  await until(() => refused.length === paths.length, "each channel to be refused");
  assert.deepEqual(
    refused,
    paths.map((_, i) => [i, 1]),
  );
  assert.ok(!asked.includes("hostkeys-prove-00@openssh.com"));
  stream.destroy();
});

test("a server that asks for ever is answered by a person once, when they decline", async () => {
  let requests = 0;
  const again = (context: AuthContext): void => {
    if (context.method !== "keyboard-interactive") {
      context.reject(["keyboard-interactive"]);
      return;
    }
    const ask = (): void => {
      if (++requests > 50) context.reject();
      else context.prompt([{ prompt: "Code? ".repeat(200), echo: true }], ask);
    };
    ask();
  };
  await using server = await startRawServer(() => undefined, again);
  const person = answering(undefined);
  await using bastion = upstreamOf(server, new StallingNetwork(), { prompter: person });
  await assert.rejects(bastion.dial(target), (error: DialError) => {
    assert.equal(error.code, "auth");
    assert.match(error.message, /was not answered/);
    assert.ok(error.message.length < 1_000, `${error.message.length} characters`);
    return true;
  });
  assert.ok(requests > 50);
  assert.equal(person.asked.length, 1);
});

test("a server's words are cut before they are kept", async () => {
  await using server = await startRawServer((peer, _socket, take) => {
    take({ onOpen: (_, { sender }) => peer.channelOpenFail(sender, 2, "no ".repeat(8_000)) });
  });
  await using bastion = upstreamOf(server, new StallingNetwork());
  await assert.rejects(bastion.dial(target), (error: DialError) => {
    assert.match(error.message, /could not connect to 192\.0\.2\.1:80: no no .*…$/);
    assert.ok(error.message.length < 400, `${error.message.length} characters`);
    return true;
  });
});
