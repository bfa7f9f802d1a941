import type { Config } from "./config/config.ts";
import type { ListenerKind, Listeners } from "./listeners.ts";
import type { Router } from "./router/route.ts";
import type { TunMode } from "./tun/mode.ts";

/** A configuration with its router. */
export interface Wanted {
  readonly config: Config;
  readonly router: Router;
}

/**
 * Where traffic is taken in: the listeners for applications and TUN mode, open or shut together. What does not take traffic
 * in, the listener for metrics, is open in either case.
 */
export class Intake {
  readonly #listeners: Listeners;
  readonly #tun: TunMode;
  #isOpen = false;

  constructor(listeners: Listeners, tun: TunMode) {
    this.#listeners = listeners;
    this.#tun = tun;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** What should listen and does not. */
  missing(config: Config): readonly ListenerKind[] {
    return this.#listeners.missing(this.#wanted(config));
  }

  /**
   * Makes a new configuration the one that counts, open or shut as it is.
   * @param tunToo whether what TUN mode goes by has changed.
   * @returns the kinds of listeners that were opened, reopened or closed.
   * @throws {Error} with a sentence; what was open before is open again then, as far as the system lets it.
   */
  async change(next: Wanted, before: Wanted, tunToo: boolean): Promise<readonly ListenerKind[]> {
    const changed = await this.#listeners.apply(this.#wanted(next.config));
    try {
      if (this.#isOpen && tunToo) await this.#tun.apply(next.config, next.router);
    } catch (error) {
      await this.#listeners.apply(before.config);
      await this.#tun.apply(before.config, before.router).catch(() => {});
      throw error;
    }
    return changed;
  }

  /** The listeners first, then the device. @throws {Error} with a sentence; all of it is shut again then. */
  async open({ config, router }: Wanted): Promise<void> {
    this.#isOpen = true;
    try {
      await this.#listeners.apply(config);
      await this.#tun.apply(config, router);
    } catch (error) {
      await this.#close(config, false);
      throw error;
    }
  }

  /** The other way round; a kill switch that an earlier end left goes too, for a person asked for it. */
  async shut(config: Config): Promise<void> {
    await this.#close(config, config.tun.enabled && config.tun.block_when_disconnected);
  }

  async #close(config: Config, liftKillSwitch: boolean): Promise<void> {
    this.#isOpen = false;
    await this.#tun.close({ liftKillSwitch });
    await this.#listeners.apply(this.#wanted(config));
  }

  #wanted(config: Config): Config {
    if (this.#isOpen) return config;
    const { metrics, control } = config.listen;
    return { ...config, listen: { control, ...(metrics && { metrics }) } };
  }
}
