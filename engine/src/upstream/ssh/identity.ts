/** Identity files: private keys on disk, some behind a passphrase, and what was opened of them, kept in memory. */
import { access } from "node:fs/promises";
import type { ParsedKey } from "ssh2";
import { readNamedFile } from "../../named-file.ts";
import { parseKey } from "./plain-key.ts";
import { unlockAside } from "./unlock.ts";

/** A private key is a few kilobytes; whatever is larger is something else. */
const maxIdentityBytes = 64 * 1024;

export type Identity =
  | { readonly kind: "missing" }
  | { readonly kind: "unreadable"; readonly reason: string }
  | { readonly kind: "public" }
  | { readonly kind: "plain"; readonly key: ParsedKey }
  | {
      readonly kind: "encrypted";
      /** Nothing where the passphrase is wrong. @throws {Error} with a sentence. */
      readonly open: (passphrase: string) => Promise<ParsedKey | undefined>;
    };

/** Never throws: what is wrong with the file is in the answer. */
export async function readIdentity(file: string): Promise<Identity> {
  let text: string;
  try {
    text = await readNamedFile(file, maxIdentityBytes);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return { kind: "missing" };
    return { kind: "unreadable", reason: code === "EISDIR" ? "it is a directory" : message };
  }
  const key = parseKey(text);
  if (!(key instanceof Error)) return key.isPrivateKey() ? { kind: "plain", key } : { kind: "public" };
  if (!/no passphrase given/i.test(key.message)) return { kind: "unreadable", reason: key.message };
  return { kind: "encrypted", open: (passphrase) => unlockAside(text, passphrase) };
}

/** The public half (RFC 4253 §6.6), from `FILE.pub`, the file itself where it is public, or an unencrypted key. */
export async function publicKeyOf(file: string): Promise<Buffer | undefined> {
  for (const path of [`${file}.pub`, file]) {
    const text = await readNamedFile(path, maxIdentityBytes).catch(() => undefined);
    const key = text === undefined ? undefined : parseKey(text);
    if (key !== undefined && !(key instanceof Error)) return key.getPublicSSH();
  }
  return undefined;
}

/** True where a certificate lies beside the key, under the name by which `ssh` finds it. */
export async function hasCertificate(file: string): Promise<boolean> {
  return await access(`${file}-cert.pub`).then(
    () => true,
    () => false,
  );
}

/** What an upstream's connections have in common, so that a person is asked once and not at each reconnect. */
export class CredentialMemory {
  readonly #keys = new Map<string, ParsedKey>();
  readonly #opening = new Map<string, Promise<ParsedKey | undefined>>();
  readonly #asking = new Map<string, { answer: Promise<string | undefined>; signal: AbortSignal }>();
  #lastQuestion: Promise<unknown> = Promise.resolve();
  readonly #passwords = new Map<string, string>();
  /** Whose last password, given by a person, the server refused. */
  readonly #refused = new Set<string>();

  /** The opened key of a file, or the outcome of opening it, which two connections never do at once. */
  async unlockOnce(file: string, open: () => Promise<ParsedKey | undefined>): Promise<ParsedKey | undefined> {
    const known = this.#keys.get(file);
    if (known !== undefined) return known;
    let opening = this.#opening.get(file);
    if (opening === undefined) {
      opening = open().finally(() => this.#opening.delete(file));
      this.#opening.set(file, opening);
    }
    const key = await opening;
    if (key !== undefined) this.#keys.set(file, key);
    return key;
  }

  password(who: string): string | undefined {
    return this.#passwords.get(who);
  }

  keepPassword(who: string, password: string): void {
    this.#passwords.set(who, password);
    this.#refused.delete(who);
  }

  /** @param refused what was tried: a newer one, which a person gave meanwhile, is kept. */
  forgetPassword(who: string, refused: string | undefined): void {
    const given = this.#passwords.get(who);
    if (refused !== undefined && given !== refused) return;
    this.#passwords.delete(who);
    if (given !== undefined) this.#refused.add(who);
  }

  /**
   * The password that a person gives, also to every other connection that needs it at the same moment. It counts until
   * the server refuses it.
   * @param signal of whoever asks: where its dial ends before the answer, the next in line asks.
   * @param ask `again`: the server refused the one before.
   */
  async askOnce(
    who: string,
    signal: AbortSignal,
    ask: (again: boolean) => Promise<string | undefined>,
  ): Promise<string | undefined> {
    for (;;) {
      const asking = this.#asking.get(who);
      if (asking === undefined) break;
      const given = await asking.answer;
      if (given !== undefined || signal.aborted || !asking.signal.aborted) return given;
    }
    const answer = ask(this.#refused.has(who)).finally(() => this.#asking.delete(who));
    this.#asking.set(who, { answer, signal });
    const given = await answer;
    if (given !== undefined) this.keepPassword(who, given);
    return given;
  }

  /** Questions of one upstream come one after the other: two at once on one terminal, and nobody knows which is answered. */
  async inTurn<T>(ask: () => Promise<T>): Promise<T> {
    const turn = this.#lastQuestion.then(ask);
    this.#lastQuestion = turn.catch(() => undefined);
    return await turn;
  }
}
