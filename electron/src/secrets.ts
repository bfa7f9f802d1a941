import { join } from "node:path";
import * as z from "zod";
import type { SafeStoragePart } from "./parts.ts";
import { StateFile } from "./state-file.ts";

/** Base64 of what safeStorage made of each secret, by name. */
const file = z.strictObject({ secrets: z.record(z.string().max(512), z.string()) });

/**
 * How what Chromium seals on Linux begins where its key is not from a keyring, but from its own source (components/os_crypt,
 * posix_key_provider.cc). It takes that one without a word where a keyring was expected and does not answer.
 */
const SEALED_BY_NOBODY = "v10";

const NO_KEYRING =
  "this desktop has no keyring (GNOME Keyring or KWallet), so a secret would be written readable to anybody with this disk";

/** Secrets, encrypted with a key that the system keeps, in one file below `folder`. */
export class Secrets {
  readonly #storage: SafeStoragePart;
  readonly #file: StateFile<typeof file>;
  readonly #platform: NodeJS.Platform;
  /** Changes come one after the other: each writes the whole file. */
  #changing: Promise<unknown> = Promise.resolve();

  constructor(options: {
    readonly safeStorage: SafeStoragePart;
    readonly folder: string;
    readonly platform: NodeJS.Platform;
  }) {
    this.#storage = options.safeStorage;
    this.#file = new StateFile(join(options.folder, "secrets.json"), file);
    this.#platform = options.platform;
  }

  /** Whether the system has something to encrypt with, or why not. Once the app is ready. */
  async support(): Promise<true | { readonly reason: string }> {
    // Electron's own stand-in for a keyring is a password that is in its source.
    if (this.#platform === "linux" && this.#storage.getSelectedStorageBackend() === "basic_text") {
      return { reason: NO_KEYRING };
    }
    if (!(await this.#storage.isAsyncEncryptionAvailable())) {
      return { reason: "the system's keychain is locked or missing" };
    }
    return this.#isKept(await this.#storage.encryptStringAsync("probe")) ? true : { reason: NO_KEYRING };
  }

  #isKept(sealed: Buffer): boolean {
    return this.#platform !== "linux" || sealed.toString("latin1", 0, 3) !== SEALED_BY_NOBODY;
  }

  /** @returns undefined where there is none. @throws {Error} with a sentence where it can't be decrypted. */
  async read(name: string): Promise<string | undefined> {
    const sealed = this.#all().find(([each]) => each === name)?.[1];
    if (sealed === undefined) return undefined;
    await this.#require();
    let opened;
    try {
      opened = await this.#storage.decryptStringAsync(Buffer.from(sealed, "base64"));
    } catch (cause) {
      throw new Error(`the secret "${name}" can't be decrypted: it was saved with another keychain`, {
        cause,
      });
    }
    // The system has a newer key. That it could not be used now is no reason to keep the secret from who wants it.
    if (opened.shouldReEncrypt) await this.write(name, opened.result).catch(() => {});
    return opened.result;
  }

  /** Undefined removes it. @throws {Error} with a sentence where it can't be kept safely. */
  write(name: string, value: string | undefined): Promise<void> {
    const mine = this.#changing.then(() => this.#writeNow(name, value));
    this.#changing = mine.catch(() => {});
    return mine;
  }

  async #writeNow(name: string, value: string | undefined): Promise<void> {
    let sealed: string | undefined;
    if (value !== undefined) {
      await this.#require();
      const bytes = await this.#storage.encryptStringAsync(value);
      if (!this.#isKept(bytes)) throw new Error(NO_KEYRING);
      sealed = bytes.toString("base64");
    }
    const others = this.#all().filter(([each]) => each !== name);
    const all = sealed === undefined ? others : [...others, [name, sealed]];
    this.#file.write({ secrets: Object.fromEntries(all) as Record<string, string> });
  }

  #all(): [string, string][] {
    return Object.entries(this.#file.read()?.secrets ?? {});
  }

  async #require(): Promise<void> {
    const support = await this.support();
    if (support !== true) throw new Error(support.reason);
  }
}
