import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { Duplex } from "node:stream";
import { test } from "node:test";
import type { Endpoint } from "@sockeye/engine";
import type { Dialer } from "@sockeye/engine/upstream/dialer";
import { startRawServer, type RawServer } from "../peers/raw-ssh-server.ts";
import { upstreamFor, type TestUpstream } from "../peers/ssh-upstream.ts";
import type { Sshd } from "../peers/sshd.ts";
import { until } from "../peers/exercise.ts";

/** Each has an answer of some 40 bytes: more than enough for the cap, and for the kernel's buffers before it. */
const MOST_QUESTIONS = 250_000;

/** An upstream that logs in to such a server by password. */
function upstreamOf({ port }: RawServer, via: Dialer): TestUpstream {
  const sshd = { host: "127.0.0.1", port, user: "test", identityFile: "none", directory: tmpdir() };
  return upstreamFor(sshd as Sshd, {
    via,
    config: { password: { text: "any" }, host_key_check: "off", identity_file: [], known_hosts_file: [] },
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
