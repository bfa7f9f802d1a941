import { randomUUID } from "node:crypto";
import type { SecretStore } from "@sockeye/engine/config/secret-store";
import type { FromEngine, SecretAnswer } from "./engine-messages.ts";

/** The main process has a keychain to ask, which asks its owner, who needs a moment. */
const ANSWER_MS = 90_000;

type Question = (FromEngine & { readonly kind: "secret" })["ask"];

/** Secrets as the main process keeps them, for the engine in its own process. */
export class ShellSecretStore implements SecretStore {
  readonly #say: (message: FromEngine) => void;
  readonly #waiting = new Map<string, (answer: SecretAnswer) => void>();

  constructor(say: (message: FromEngine) => void) {
    this.#say = say;
  }

  /** What the main process said to a question of ours. */
  receive(id: string, answer: SecretAnswer): void {
    this.#waiting.get(id)?.(answer);
  }

  async available(): Promise<{ readonly ok: true } | { readonly ok: false; readonly reason: string }> {
    const { error } = await this.#ask({ what: "available" });
    return error === undefined ? { ok: true } : { ok: false, reason: error };
  }

  /** @throws {Error} with the shell's sentence. */
  async store(name: string, value: string): Promise<void> {
    await this.#succeed({ what: "write", name, value });
  }

  /** @throws {Error} with the shell's sentence. */
  async read(name: string): Promise<string | undefined> {
    return (await this.#succeed({ what: "read", name })).value;
  }

  /** @throws {Error} with the shell's sentence. */
  async remove(name: string): Promise<void> {
    await this.#succeed({ what: "remove", name });
  }

  async #succeed(question: Question): Promise<SecretAnswer> {
    const answer = await this.#ask(question);
    if (answer.error !== undefined) throw new Error(answer.error);
    return answer;
  }

  async #ask(question: Question): Promise<SecretAnswer> {
    const id = randomUUID();
    const answered = Promise.withResolvers<SecretAnswer>();
    const deadline = setTimeout(() => answered.resolve({ error: "the keychain does not answer" }), ANSWER_MS);
    this.#waiting.set(id, answered.resolve);
    this.#say({ kind: "secret", id, ask: question });
    try {
      return await answered.promise;
    } finally {
      clearTimeout(deadline);
      this.#waiting.delete(id);
    }
  }
}
