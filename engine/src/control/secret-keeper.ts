import { createHash, randomBytes } from "node:crypto";
import { chmod, mkdir, open, rename, unlink } from "node:fs/promises";
import { join } from "node:path";
import type { SecretStore } from "../config/secret-store.ts";
import { forgetSecrets } from "../config/secrets.ts";
import type { CallParams, CallResult } from "./contract.ts";
import { ControlError } from "./control-error.ts";

/** Of a name of ours, so that a file system and a keychain take it. */
const MAX_NAME_CHARACTERS = 120;

/** Keeps secrets outside the configuration: in a keychain, or in files that only their owner can read. */
export class SecretKeeper {
  readonly #store: SecretStore;
  readonly #directory: string;

  /** @param directory for the files; made when it is needed. */
  constructor(store: SecretStore, directory: string) {
    this.#store = store;
    this.#directory = directory;
  }

  async support(): Promise<CallResult<"secret.support">> {
    const available = await this.#store.available();
    return available.ok ? { keychain: true } : { keychain: false, reason: available.reason };
  }

  /**
   * @returns the keys of an upstream's configuration that stand for the secret, as an edit: what was in its place goes.
   * @throws {ControlError} `no-secret-store`, `bad-request`, `unavailable`; no sentence holds the secret.
   */
  async keep(secret: CallParams<"secret.store">): Promise<CallResult<"secret.store">> {
    const { kind, where } = secret;
    const reference =
      where === "keychain"
        ? { [kind]: { keychain: await this.#keepInStore(secret) }, [`${kind}_file`]: null }
        : { [kind]: null, [`${kind}_file`]: await this.#keepInFile(secret) };
    // One that was asked for before is another now.
    forgetSecrets();
    return { reference };
  }

  async #keepInStore({ value, ...whose }: CallParams<"secret.store">): Promise<string> {
    const available = await this.#store.available();
    if (!available.ok) throw new ControlError("no-secret-store", available.reason);
    const name = nameOf(whose);
    try {
      await this.#store.store(name, value);
    } catch (error) {
      const why = error instanceof Error ? error.message : "it was not said why";
      throw new ControlError("no-secret-store", why, { cause: error });
    }
    return name;
  }

  /** In one step: a reader sees the old secret or the new one. */
  async #keepInFile({ value, ...whose }: CallParams<"secret.store">): Promise<string> {
    if (/[\r\n]/.test(value)) {
      throw new ControlError("bad-request", "a secret in a file is one line; this one has a line break");
    }
    const path = join(this.#directory, nameOf(whose));
    const temporary = `${path}.${randomBytes(6).toString("hex")}.tmp`;
    try {
      await mkdir(this.#directory, { recursive: true, mode: 0o700 });
      await chmod(this.#directory, 0o700);
      const file = await open(temporary, "wx", 0o600);
      try {
        await file.writeFile(`${value}\n`);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(temporary, path);
    } catch (error) {
      await unlink(temporary).catch(() => {});
      const why = error instanceof Error ? error.message : String(error);
      throw new ControlError("unavailable", `the secret can't be written: ${why}`, { cause: error });
    }
    return path;
  }
}

/** `production-password`: of letters that every file system and keychain takes, another for each upstream, relay and share. */
function nameOf({ upstream: own, kind, of }: Omit<CallParams<"secret.store">, "value" | "where">): string {
  const upstream = of === undefined || of === "upstream" ? own : `${of}:${own}`;
  const plain = encodeURIComponent(upstream).replaceAll(/[*'()!~%]|^[-.]/g, "_");
  const name = `${plain.slice(0, MAX_NAME_CHARACTERS)}-${kind}`;
  if (plain === upstream && plain.length <= MAX_NAME_CHARACTERS) return name;
  return `${name}-${createHash("sha256").update(upstream).digest("hex").slice(0, 12)}`;
}
