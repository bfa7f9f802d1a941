import { createHash } from "node:crypto";
import { type FSWatcher, readlinkSync, realpathSync, watch } from "node:fs";
import { stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { readConfigText } from "./read-text.ts";

export type ConfigChange =
  | { readonly kind: "changed"; readonly text: string }
  /** The file is gone. What runs goes on. Told once; when the file comes back, "changed" follows. */
  | { readonly kind: "deleted" }
  | { readonly kind: "unreadable"; readonly error: Error };

export interface ConfigWatch extends Disposable {
  close(): void;
}

export interface WatchOptions {
  /**
   * The text that runs, so that a change made before the watch began, or in its first moments, is seen. Default: what the
   * file holds once it has been still.
   */
  readonly running?: string | undefined;
}

/** A file is read once it has been still for so long: editors write in several steps, some through an empty file. */
const QUIET_MS = 100;
/** Looked at anyway, for file systems that tell nothing, and for directories that were replaced. */
const POLL_MS = 5000;
/** As many links as Linux follows. */
const MAX_LINKS = 40;

/**
 * Tells when the text at `path` has become another. Survives editors that rename over the file, links whose target or
 * directory is swapped (as Kubernetes does with ConfigMaps), and the file's absence. Holds no process open.
 */
export function watchConfig(
  path: string,
  onChange: (change: ConfigChange) => void,
  options: WatchOptions = {},
): ConfigWatch {
  const watcher = new ConfigWatcher(resolve(path), onChange, options.running);
  return { close: () => watcher.close(), [Symbol.dispose]: () => watcher.close() };
}

class ConfigWatcher {
  readonly #path: string;
  readonly #onChange: (change: ConfigChange) => void;
  readonly #poll: NodeJS.Timeout;
  /** By the directory's real path, which changes when a link to it is swapped. */
  readonly #directories = new Map<string, FSWatcher>();
  #digest: string | undefined;
  /** What the file system said of the file at the last look, and when it was last told of. */
  #seen: string | undefined;
  #told: string | undefined;
  #timer: NodeJS.Timeout | undefined;
  #looking = false;
  #closed = false;

  constructor(path: string, onChange: (change: ConfigChange) => void, running: string | undefined) {
    this.#path = path;
    this.#onChange = onChange;
    if (running !== undefined) this.#digest = digestOf(running);
    this.#watchDirectories();
    this.#poll = setInterval(() => this.#lookSoon(), POLL_MS).unref();
    this.#lookSoon();
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#poll);
    clearTimeout(this.#timer);
    this.#closeDirectories();
  }

  #closeDirectories(): void {
    for (const watcher of this.#directories.values()) watcher.close();
    this.#directories.clear();
  }

  #lookSoon(): void {
    if (this.#closed || this.#timer !== undefined) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      void this.#look();
    }, QUIET_MS).unref();
  }

  async #look(): Promise<void> {
    if (this.#looking) {
      this.#lookSoon();
      return;
    }
    this.#looking = true;
    try {
      const change = await this.#findChange();
      if (change !== undefined && !this.#closed) this.#onChange(change);
    } finally {
      this.#looking = false;
    }
  }

  async #findChange(): Promise<ConfigChange | undefined> {
    this.#watchDirectories();
    const state = await stateOf(this.#path);
    if (this.#closed || state === this.#told) return undefined;
    if (state !== this.#seen) {
      this.#seen = state;
      this.#lookSoon();
      return undefined;
    }
    if (state === ABSENT) return this.#deleted();
    try {
      const text = await readConfigText(this.#path);
      if ((await stateOf(this.#path)) !== state) {
        this.#lookSoon();
        return undefined;
      }
      return this.#read(text, state);
    } catch (error) {
      this.#told = state;
      return { kind: "unreadable", error: error instanceof Error ? error : new Error(String(error)) };
    }
  }

  #deleted(): ConfigChange {
    this.#told = ABSENT;
    this.#digest = ABSENT;
    // The directory may be gone too, and another in its place: a watch holds on to what it was opened on.
    this.#closeDirectories();
    this.#lookSoon();
    return { kind: "deleted" };
  }

  #read(text: string, state: string): ConfigChange | undefined {
    this.#told = state;
    const digest = digestOf(text);
    const before = this.#digest;
    this.#digest = digest;
    return before === undefined || before === digest ? undefined : { kind: "changed", text };
  }

  #watchDirectories(): void {
    if (this.#closed) return;
    const wanted = directoriesOf(this.#path);
    for (const [directory, watcher] of this.#directories) {
      if (wanted.has(directory)) continue;
      watcher.close();
      this.#directories.delete(directory);
    }
    for (const directory of wanted) if (!this.#directories.has(directory)) this.#watchDirectory(directory);
  }

  /** Where the system can't watch (no watches left, no directory), the poll remains. */
  #watchDirectory(directory: string): void {
    try {
      const watcher = watch(directory, { persistent: false }, () => this.#lookSoon());
      watcher.on("error", () => {
        watcher.close();
        this.#directories.delete(directory);
        this.#lookSoon();
      });
      this.#directories.set(directory, watcher);
    } catch {
      this.#directories.delete(directory);
    }
  }
}

const ABSENT = "absent";

/** What tells one state of a file from another without reading it. */
async function stateOf(path: string): Promise<string> {
  try {
    const { dev, ino, size, mode, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
    return [dev, ino, size, mode, mtimeNs, ctimeNs].join();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === "ENOENT" || code === "ENOTDIR" ? ABSENT : `error ${code ?? "unknown"}`;
  }
}

/** The real directories of the path and of each link that it leads through; of one that is not there, the nearest above. */
function directoriesOf(path: string): Set<string> {
  const directories = new Set<string>();
  let step = path;
  for (let links = 0; links <= MAX_LINKS; links++) {
    directories.add(nearestDirectory(dirname(step)));
    try {
      step = resolve(dirname(step), readlinkSync(step));
    } catch {
      break; // Not a link, or not there: the way ends.
    }
  }
  return directories;
}

function nearestDirectory(directory: string): string {
  for (let step = directory; ; step = dirname(step)) {
    try {
      return realpathSync(step);
    } catch {
      if (step === dirname(step)) return step;
    }
  }
}

function digestOf(text: string): string {
  return createHash("sha256").update(text).digest("base64");
}
