import type { PacketBurst, PacketDevice } from "./device.ts";
import { PacketCollector } from "./packet-collector.ts";
import { SampleBurst } from "./sample-burst.ts";

/** A device in memory, for tests: what the stack sends goes to a listener, a turn of the event loop later, as over a real one. */
export class SampleDevice extends PacketCollector implements PacketDevice {
  readonly name = "sample0";
  /** The applications' side. */
  onPacket: (packet: Buffer) => void = () => {};
  closed = false;
  #onBurst: (burst: PacketBurst) => void = () => {};
  #onClose: (error?: Error) => void = () => {};
  #pending = false;

  start(onBurst: (burst: PacketBurst) => void, onClose: (error?: Error) => void): void {
    this.#onBurst = onBurst;
    this.#onClose = onClose;
  }

  /** Packets from applications, in one burst. */
  send(...packets: readonly Buffer[]): void {
    this.#onBurst(SampleBurst.of(...packets));
  }

  override flush(): void {
    super.flush();
    if (this.#pending) return;
    this.#pending = true;
    setImmediate(() => {
      this.#pending = false;
      for (const packet of this.take()) this.onPacket(packet);
    });
  }

  /** It goes away by itself. */
  lose(error: Error): void {
    this.closed = true;
    this.#onClose(error);
  }

  close(): void {
    this.closed = true;
    setImmediate(() => this.#onClose());
  }
}
