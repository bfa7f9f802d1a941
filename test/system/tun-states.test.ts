import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { after, test } from "node:test";
import { createTun, openTunDevice, type TunDevice } from "@sockeye/engine/device/tun-device";
import type { PacketBurst, PacketDevice } from "@sockeye/engine/netstack/device";
import { StackDriver } from "@sockeye/engine/netstack/driver";
import type { TcpAttempt } from "@sockeye/engine/netstack/handler";
import { enterNamespace } from "../peers/namespace.ts";
import { until } from "../peers/tun-client.ts";

/** The kernel's address on the device, and one behind it, of either family. */
const FAMILIES = {
  IPv4: { kernel: "10.99.0.1", ours: "10.99.0.2" },
  IPv6: { kernel: "fd99::1", ours: "fd99::2" },
} as const;
const PORT = 4433;

/** A TUN device whose packets to us can be held back, so that two sides say something at the same time. */
class HeldDevice implements PacketDevice {
  readonly name: string;
  readonly mtu: number;
  readonly segmentation: boolean;
  readonly heads: Buffer;
  /** Packets that wait. */
  readonly held: PacketBurst[] = [];
  holds = false;
  readonly #device: TunDevice;
  #onBurst: (burst: PacketBurst) => void = () => {};

  constructor(device: TunDevice) {
    this.#device = device;
    ({ name: this.name, mtu: this.mtu, segmentation: this.segmentation, heads: this.heads } = device);
  }

  start(onBurst: (burst: PacketBurst) => void, onClose: (error?: Error) => void): void {
    this.#onBurst = onBurst;
    this.#device.start((burst) => {
      if (this.holds)
        this.held.push({
          ...burst,
          bytes: Buffer.from(burst.bytes),
          starts: burst.starts.slice(),
          lengths: burst.lengths.slice(),
          checksums: burst.checksums.slice(),
        });
      else onBurst(burst);
    }, onClose);
  }

  letGo(): void {
    this.holds = false;
    for (const burst of this.held.splice(0)) this.#onBurst(burst);
  }

  begin(): number {
    return this.#device.begin();
  }

  piece(...piece: Parameters<PacketDevice["piece"]>): void {
    this.#device.piece(...piece);
  }

  end(...packet: Parameters<PacketDevice["end"]>): void {
    this.#device.end(...packet);
  }

  flush(): void {
    this.#device.flush();
  }

  close(): void {
    this.#device.close();
  }
}

/** One connection between the kernel's TCP and ours, and both its ends. */
interface Talk {
  /** The kernel's. */
  readonly application: Socket;
  /** Ours. */
  readonly stream: Duplex & { failure?: NodeJS.ErrnoException };
  /** Of the kernel's side, as ss(8) has it; undefined where there is no such connection. */
  state(): string | undefined;
}

if (await enterNamespace(import.meta.filename)) {
  ip("link set lo up");
  const native = openTunDevice(createTun("states0"));
  ip("link set states0 up");
  ip(`addr add ${FAMILIES.IPv4.kernel}/24 dev states0`);
  ip(`addr add ${FAMILIES.IPv6.kernel}/64 dev states0 nodad`);
  const device = new HeldDevice(native);
  let accepted = Promise.withResolvers<Talk["stream"]>();
  /** Where set, an attempt is not answered at once. */
  let asked: PromiseWithResolvers<TcpAttempt> | undefined;
  const driver = new StackDriver({
    device,
    handler: {
      tcp: (attempt) => {
        if (asked) {
          asked.resolve(attempt);
          return;
        }
        const stream: Talk["stream"] = attempt.accept();
        stream.on("error", (error) => (stream.failure = error));
        stream.resume();
        accepted.resolve(stream);
      },
      udp: (source) => source.close(),
    },
    onLost: () => {},
  });
  after(() => driver.close());

  async function open(host: string): Promise<Talk> {
    device.letGo();
    accepted = Promise.withResolvers();
    const application = connect({ host, port: PORT, allowHalfOpen: true });
    application.on("error", () => {});
    application.resume();
    await once(application, "connect");
    const { localPort } = application;
    return {
      application,
      stream: await accepted.promise,
      state: () => kernelState(`sport = :${localPort}`).split(/\s+/)[0] || undefined,
    };
  }

  const reaches = (talk: Talk, state: string): Promise<void> => until(() => talk.state() === state, state);

  /** Each state of the kernel's side, with ours beside it. */
  const STATES: Record<string, (host: string) => Promise<Talk>> = {
    "ESTAB, with ours in SYN-RECEIVED": async (host) => {
      device.letGo();
      accepted = Promise.withResolvers();
      // Ours hears the SYN, and nothing of the acknowledgement that follows.
      const opening = open(host);
      await accepted.promise;
      device.holds = true;
      return opening;
    },
    "ESTAB, with ours in ESTABLISHED": async (host) => {
      const talk = await open(host);
      talk.application.write("x");
      await until(() => talk.stream.readableLength > 0 || talk.stream.readableDidRead, "it carries");
      return talk;
    },
    "CLOSE-WAIT, with ours in FIN-WAIT-1": async (host) => {
      const talk = await open(host);
      device.holds = true;
      talk.stream.end();
      await reaches(talk, "CLOSE-WAIT");
      return talk;
    },
    "CLOSE-WAIT, with ours in FIN-WAIT-2": async (host) => {
      const talk = await open(host);
      talk.stream.end();
      await reaches(talk, "CLOSE-WAIT");
      return talk;
    },
    "FIN-WAIT-1, with ours in ESTABLISHED": async (host) => {
      const talk = await open(host);
      device.holds = true;
      await once(talk.application.end(), "finish");
      await reaches(talk, "FIN-WAIT-1");
      return talk;
    },
    "FIN-WAIT-2, with ours in CLOSE-WAIT": async (host) => {
      const talk = await open(host);
      await once(talk.application.end(), "finish");
      await reaches(talk, "FIN-WAIT-2");
      return talk;
    },
    "CLOSING, with ours in FIN-WAIT-1": async (host) => {
      const talk = await open(host);
      device.holds = true;
      await once(talk.application.end(), "finish");
      await reaches(talk, "FIN-WAIT-1");
      talk.stream.end();
      await reaches(talk, "CLOSING");
      return talk;
    },
    "LAST-ACK, with ours in FIN-WAIT-2": async (host) => {
      const talk = await open(host);
      talk.stream.end();
      await reaches(talk, "CLOSE-WAIT");
      device.holds = true;
      talk.application.end();
      await reaches(talk, "LAST-ACK");
      return talk;
    },
    "TIME-WAIT, with ours in LAST-ACK": async (host) => {
      const talk = await open(host);
      await once(talk.application.end(), "finish");
      await reaches(talk, "FIN-WAIT-2");
      device.holds = true;
      talk.stream.end();
      await reaches(talk, "TIME-WAIT");
      return talk;
    },
  };

  for (const [family, { ours }] of Object.entries(FAMILIES)) {
    test(`ends that cross each other close both sides, by way of CLOSING (${family})`, async () => {
      const talk = await STATES["CLOSING, with ours in FIN-WAIT-1"]!(ours);
      assert.ok(device.held.length > 0, "the kernel's FIN is on its way");
      device.letGo();
      await reaches(talk, "TIME-WAIT");
      await until(() => talk.application.closed && talk.stream.closed, "both are closed");
      assert.equal(talk.application.errored, null);
      assert.equal(talk.stream.failure, undefined);
    });

    test(`a RST of ours refuses the kernel's side in SYN-SENT (${family})`, async () => {
      device.letGo();
      asked = Promise.withResolvers();
      const application = connect({ host: ours, port: PORT });
      const failed = new Promise<NodeJS.ErrnoException>((resolve) => application.once("error", resolve));
      const attempt = await asked.promise;
      asked = undefined;
      assert.match(kernelState(`dst [${ours}]:${PORT}`), /^SYN-SENT/m);
      attempt.refuse("refused");
      assert.equal((await failed).code, "ECONNREFUSED");
    });

    for (const [name, reach] of Object.entries(STATES)) {
      test(`a RST of ours ends the kernel's side in ${name} (${family})`, async () => {
        const talk = await reach(ours);
        driver.reset();
        await until(() => talk.state() === undefined, "it is gone");
        device.letGo();
        await until(() => talk.stream.closed, "ours is closed");
        talk.application.destroy();
      });

      // A kernel sends no RST any more once both directions have ended.
      if (/^(CLOSING|LAST-ACK|TIME-WAIT)/.test(name)) continue;
      test(`a RST of the kernel's side in ${name} ends ours (${family})`, async () => {
        const talk = await reach(ours);
        talk.application.resetAndDestroy();
        await until(() => talk.state() === undefined, "the kernel's is gone");
        device.letGo();
        await until(() => talk.stream.closed, "ours is closed");
        assert.equal(talk.stream.failure?.code, "ECONNRESET");
      });
    }
  }

  test("after all of it nothing is left", async () => {
    driver.reset();
    await until(() => driver.stats.tcp === 0, "nothing is left");
  });
}

/** Of the kernel's connections, as ss(8) has them. */
function kernelState(filter: string): string {
  return execFileSync("ss", ["-H", "-t", "-a", "-n", filter], { encoding: "utf8" });
}

function ip(command: string): void {
  execFileSync("ip", command.split(" "));
}
