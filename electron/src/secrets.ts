import { join } from "node:path";
import * as z from "zod";
import type { SafeStoragePart } from "./parts.ts";
import { StateFile } from "./state-file.ts";

/** Base64 of what safeStorage made of each secret, by name. */
const file = z.strictObject({ secrets: z.record(z.string().max(512), z.string()) });

const NO_KEYRING =
  "this desktop has no keyring (GNOME Keyring or KWallet), so a secret would be written readable to anybody with this disk";

/** Secrets, encrypted with a key that the system keeps, in one file below `folder`. */
export class Secrets {
  readonly #storage: SafeStoragePart;
  readonly #file: StateFile<typeof file>;
  readonly #platform: NodeJS.Platform;

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
  get support(): true | { readonly reason: string } {
    // Electron's own stand-in for a keyring is a password that is in its source.
    if (this.#platform === "linux" && this.#storage.getSelectedStorageBackend() === "basic_text") {
      return { reason: NO_KEYRING };
    }
    if (!this.#storage.isEncryptionAvailable()) {
      return { reason: "the system's keychain is locked or missing" };
    }
    return true;
  }

  /** @returns undefined where there is none. @throws {Error} with a sentence where it can't be decrypted. */
  read(name: string): string | undefined {
    const { secrets } = this.#file.read() ?? { secrets: {} };
    const sealed = Object.hasOwn(secrets, name) ? secrets[name] : undefined;
    if (sealed === undefined) return undefined;
    this.#require();
    try {
      return this.#storage.decryptString(Buffer.from(sealed, "base64"));
    } catch (cause) {
      throw new Error(`the secret "${name}" can't be decrypted: it was saved with another keychain`, {
        cause,
      });
    }
  }

  /** Undefined removes it. @throws {Error} with a sentence where it can't be kept safely. */
  write(name: string, value: string | undefined): void {
    const { secrets } = this.#file.read() ?? { secrets: {} };
    const others = Object.entries(secrets).filter(([each]) => each !== name);
    if (value !== undefined) {
      this.#require();
      others.push([name, this.#storage.encryptString(value).toString("base64")]);
    }
    this.#file.write({ secrets: Object.fromEntries(others) });
  }

  #require(): void {
    const { support } = this;
    if (support !== true) throw new Error(support.reason);
  }
}
