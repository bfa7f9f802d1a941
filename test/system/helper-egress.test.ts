import assert from "node:assert/strict";
import { closeSync, readdirSync } from "node:fs";
import type { Socket } from "node:net";
import { after, describe, it } from "node:test";
import { MarkedSockets } from "../../engine/src/helper/marked-sockets.ts";
import { DirectDialer } from "../../engine/src/upstream/direct.ts";
import { Egress } from "../../engine/src/upstream/egress.ts";
import { Resolver } from "../../engine/src/upstream/resolver.ts";
import { assertAnswers, dialFailure, soon, until } from "../peers/exercise.ts";
import { enterNamespace } from "../peers/namespace.ts";
import {
  DEVICE,
  FAR,
  FAR6,
  makeMachine,
  machineState,
  startHelper,
  startOutside,
} from "../peers/helper-machine.ts";

const HALF_CLOSE = { halfClose: true };
const ADDRESSES: Record<string, readonly string[]> = {
  "both.example": [FAR6, FAR],
  "slow.example": ["203.0.113.99", "203.0.113.98", FAR],
  "refused.example": [FAR],
};

if (await enterNamespace(import.meta.filename)) {
  makeMachine();
  const before = machineState();
  const outside = await startOutside();
  const helper = await startHelper();
  const device = await helper.client.open(DEVICE);
  await helper.client.capture({ networks: ["0.0.0.0/0", "::/0"], excluded: [], killSwitch: false });

  const marked = new MarkedSockets(helper.client);
  const egress = new Egress();
  egress.source = marked;
  const resolver = new Resolver({
    getAddrInfo: (name, done) => {
      const addresses = ADDRESSES[name];
      const found = addresses?.map((address) => ({ address, family: address.includes(":") ? 6 : 4 }));
      const error = found ? null : Object.assign(new Error("no such name"), { code: "ENOTFOUND" });
      process.nextTick(done, error, found ?? []);
    },
  });
  const direct = new DirectDialer(resolver, egress);

  describe("while all traffic is captured, direct dials", () => {
    it("go nowhere with plain sockets, which the device takes", async () => {
      const failure = await dialFailure(new DirectDialer(resolver), { host: FAR, port: 7 }, soon(300));
      assert.equal(failure.code, "timeout");
    });

    it("reach IPv4, IPv6, and names of both, half-close kept, paused and guarded as ever", async () => {
      for (const host of [FAR, FAR6, `::ffff:${FAR}`, "both.example"]) {
        const socket = await direct.dial({ host, port: 7 }, { signal: soon() });
        assert.equal(socket.isPaused(), true);
        assert.equal(socket.listenerCount("error"), 1);
        assert.equal(socket.listenerCount("connect") + socket.listenerCount("data"), 0);
        assert.equal(socket.remotePort, 7);
        await assertAnswers(socket, "x", "x", HALF_CLOSE);
      }
    });

    it("carry megabytes, whole", async () => {
      const socket = await direct.dial({ host: FAR, port: 7 }, { signal: soon(20_000) });
      const sent = Buffer.alloc(4 << 20, "sockeye!");
      socket.end(sent);
      const got: Buffer[] = [];
      for await (const chunk of socket) got.push(chunk as Buffer);
      assert.equal(Buffer.concat(got).equals(sent), true);
    });

    it("try the next address where one does not answer, and tell the steps", async () => {
      const steps: string[] = [];
      const options = { signal: soon(), onStep: (step: string) => void steps.push(step) };
      const started = performance.now();
      const socket = await direct.dial({ host: "slow.example", port: 7 }, options);
      assert.equal(socket.remoteAddress, FAR);
      assert(performance.now() - started >= 490, "the third address is tried after two delays");
      socket.destroy();
      assert.deepEqual(steps, ["name", "tcp"]);
    });

    it("fail as ever, and leave no descriptor behind", async () => {
      await until(() => stocked(4), "a socket in stock");
      await outstanding(); // Connections before this have closed.
      const open = descriptors();
      for (let i = 0; i < 40; i++)
        assert.equal((await dialFailure(direct, { host: FAR, port: 9 })).code, "refused");
      const refused = await dialFailure(direct, { host: "refused.example", port: 9 });
      assert.equal(`${refused.code} ${refused.step} ${refused.scope}`, "refused tcp target");
      assert.equal((await dialFailure(direct, { host: "none.example", port: 7 })).code, "dns");
      assert.equal((await dialFailure(direct, { host: "192.0.2.99", port: 7 }, soon(100))).code, "timeout");
      const controller = new AbortController();
      const cancelled = dialFailure(direct, { host: "slow.example", port: 9 }, controller.signal);
      setTimeout(() => controller.abort(), 300);
      assert.equal((await cancelled).code, "cancelled");
      await outstanding();
      assert(descriptors() <= open + 64, `${open} descriptors before, ${descriptors()} after`);
    });

    it("come by the hundred at one time", async () => {
      const dials = Array.from({ length: 300 }, () =>
        direct.dial({ host: FAR, port: 7 }, { signal: soon(20_000) }),
      );
      const sockets: Socket[] = await Promise.all(dials);
      await Promise.all(sockets.map((socket, i) => assertAnswers(socket, `${i}`, `${i}`, HALF_CLOSE)));
    });

    it("send datagrams in both families, from ports that no other socket has", async () => {
      const associations = await Promise.all(
        Array.from({ length: 40 }, async (_, i) => {
          const got: string[] = [];
          const association = await direct.udp.associate(
            { onDatagram: (_source, payload) => got.push(String(payload)), onClose: () => undefined },
            { signal: soon() },
          );
          for (const host of [FAR, FAR6]) association.send({ host, port: 7 }, Buffer.from(`${i} ${host}`));
          return { association, got, wanted: [`${i} ${FAR}`, `${i} ${FAR6}`] };
        }),
      );
      for (const { association, got, wanted } of associations) {
        await until(() => got.length === 2, "both answers");
        assert.deepEqual(got.toSorted(), wanted.toSorted());
        association.close();
      }
    });

    it("follow a change of the egress, an association too", async () => {
      const got: string[] = [];
      const changing = new Egress();
      const association = await new DirectDialer(resolver, changing).udp.associate(
        { onDatagram: (_source, payload) => got.push(String(payload)), onClose: () => undefined },
        { signal: soon() },
      );
      association.send({ host: FAR, port: 7 }, Buffer.from("captured"));
      changing.source = marked;
      association.send({ host: FAR, port: 7 }, Buffer.from("free"));
      await until(() => got.length > 0, "an answer");
      assert.deepEqual(got, ["free"]);
      changing.source = undefined;
      association.close();
    });
  });

  describe("the stock of marked sockets", () => {
    it("closes what it holds, refuses those who wait, and takes no more", async () => {
      const stock = new MarkedSockets(helper.client);
      const taken = await stock.take(4, "stream");
      closeSync(taken);
      const waiting = Promise.resolve(stock.take(6, "dgram"));
      stock.close();
      await assert.rejects(waiting, { code: "closed" });
      await assert.rejects(Promise.resolve(stock.take(4, "stream")), { code: "closed" });
      await helper.client.status();
    });
  });

  after(async () => {
    marked.close();
    assert.deepEqual(await helper.client.release(), []);
    closeSync(device.descriptor);
    helper.client.close();
    await helper.ended;
    await outside.stop();
    assert.equal(machineState(), before);
  });

  const stocked = (family: 4 | 6): boolean => {
    const taken = marked.take(family, "stream");
    if (typeof taken === "number") closeSync(taken);
    else void taken.then(closeSync);
    return typeof taken === "number";
  };
  /** What was destroyed is closed a turn of the loop later, and the helper has answered. */
  const outstanding = async (): Promise<void> => {
    await helper.client.status();
    await new Promise((resolve) => setTimeout(resolve, 20));
  };
}

function descriptors(): number {
  return readdirSync("/proc/self/fd").length;
}
