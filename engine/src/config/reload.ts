import { setTimeout as sleep } from "node:timers/promises";
import { ControlError } from "../control/control-error.ts";
import type { Logger } from "../observe/log.ts";
import { Backoff } from "../upstream/backoff.ts";
import type { Turns } from "../turns.ts";
import type { Config } from "./config.ts";
import type { ConfigProblem } from "@sockeye/config-kit/problem";
import { accepted, type ConfigSource } from "./running.ts";
import { forgetSecrets } from "./secrets.ts";
import { type ConfigChange, type ConfigWatch, watchConfig } from "@sockeye/config-kit/watch";

export interface ReloaderOptions {
  readonly source: ConfigSource;
  readonly log: Logger;
  /** Shared with whatever else opens and shuts what a configuration names. */
  readonly turns: Turns;
  /** Undefined while reloads are wanted, else what the engine does instead, in a word. */
  readonly busyWith: () => string | undefined;
  /** Makes the configuration the running one, or throws and leaves all as it was. */
  readonly change: (config: Config) => Promise<void>;
  readonly warn: (warning: ConfigProblem) => void;
}

/** Reads the configuration again, when it is asked to or when the file changes. Reloads run one after the other. */
export class Reloader {
  readonly #options: ReloaderOptions;
  #watch: ConfigWatch | undefined;
  #problems: readonly ConfigProblem[] | undefined;

  constructor(options: ReloaderOptions) {
    this.#options = options;
  }

  /** Why the last reload changed nothing; undefined where it did. */
  get problems(): readonly ConfigProblem[] | undefined {
    return this.#problems;
  }

  /** From now on a change of the file is a reload. */
  watch(): void {
    const { source } = this.#options;
    if (source.file === undefined) return;
    this.#watch = watchConfig(source.file, (change) => this.#fileChanged(change), {
      running: source.lastRead,
    });
  }

  /** @throws {ControlError} and what ran before still runs then. */
  reload(): Promise<{ readonly warnings: readonly ConfigProblem[] }> {
    return this.#options.turns.run(() => this.#reload());
  }

  /** Ends the watch, and waits for a reload that is under way. */
  async close(): Promise<void> {
    this.#watch?.close();
    await this.#options.turns.ended();
  }

  async #reload(): Promise<{ readonly warnings: readonly ConfigProblem[] }> {
    const { source, log, busyWith, change, warn } = this.#options;
    const busy = busyWith();
    if (busy !== undefined) throw new ControlError("unavailable", `the engine is ${busy}`);
    try {
      forgetSecrets();
      const { config, warnings } = accepted(await source.read());
      await change(config);
      this.#problems = undefined;
      for (const warning of warnings) warn(warning);
      return { warnings };
    } catch (error) {
      const failure = asControlError(error);
      this.#problems = failure.problems ?? [{ line: 0, column: 0, path: "", message: failure.message }];
      log.error(
        { problems: this.#problems },
        "the configuration was not reloaded; what ran before still runs",
      );
      throw failure;
    }
  }

  /** Follows the file. What passes by itself, as a shortage of descriptors does, is tried again. */
  async #reloadUnasked(): Promise<void> {
    const backoff = new Backoff(1000, 30_000);
    while (this.#options.busyWith() === undefined) {
      try {
        await this.reload();
        return;
      } catch (error) {
        if (!isShortage(error)) return;
        await sleep(backoff.next(), undefined, { ref: false });
      }
    }
  }

  #fileChanged(change: ConfigChange): void {
    const { source, log } = this.#options;
    const { file } = source;
    switch (change.kind) {
      case "changed":
        // Whoever writes it slowly, or on a full disk, passes through this: all would be shut for a file that is not meant.
        if (change.text.trim() === "" && source.lastRead?.trim() !== "")
          log.warn({ file }, "the configuration file is empty; what ran before still runs");
        else void this.#reloadUnasked();
        return;
      case "deleted":
        log.warn({ file }, "the configuration file is gone; what ran before still runs");
        return;
      case "unreadable":
        log.warn(
          { file, err: change.error },
          "the configuration file can't be read; what ran before still runs",
        );
        return;
    }
  }
}

/** Descriptors or memory are out, which others will give back. */
function isShortage(error: unknown): boolean {
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
    if (["EMFILE", "ENFILE", "EAGAIN", "ENOMEM"].includes((cause as NodeJS.ErrnoException).code ?? ""))
      return true;
  }
  return false;
}

function asControlError(error: unknown): ControlError {
  if (error instanceof ControlError) return error;
  return new ControlError("internal", error instanceof Error ? error.message : String(error), {
    cause: error,
  });
}
