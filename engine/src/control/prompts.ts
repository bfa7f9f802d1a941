import { scrub } from "../observe/redact.ts";
import type { Prompt, Prompter } from "../upstream/prompter.ts";
import type { PendingPrompt, PromptQuestion } from "./contract.ts";

/** Longer than this nobody waits for a person. */
const ANSWER_MS = 5 * 60_000;
/** A window that is loaded anew comes back within this; later its questions have nobody any more. */
const LEFT_ALONE_MS = 15_000;
/** Open at one time; further ones are declined. */
const MAX_PENDING = 32;

export interface ControlPrompterOptions {
  /** Asked as well, where somebody sits at a terminal. The first answer counts, and the other question is withdrawn. */
  readonly terminal?: Prompter | undefined;
  /** Milliseconds. Default: 5 minutes. */
  readonly answerMs?: number;
  /** Milliseconds. Default: 15 seconds. */
  readonly leftAloneMs?: number;
}

/** The questions for a person, as a control service shows and answers them. */
export interface PromptDesk {
  /** A client is there to answer. @returns the way to leave. */
  attend(): () => void;
  /** Oldest first. Another array whenever it differs. */
  readonly pending: readonly PendingPrompt[];
  /** @returns false where nobody asks that any more. */
  answer(id: number, answer: string | undefined): boolean;
}

/** Asks whoever listens to the control contract's questions, and at the terminal where there is one. */
export class ControlPrompter implements Prompter, PromptDesk {
  readonly #terminal: Prompter | undefined;
  readonly #answerMs: number;
  readonly #leftAloneMs: number;
  readonly #open = new Map<
    number,
    { readonly prompt: PendingPrompt; readonly settle: (answer?: string) => void }
  >();
  #pending: readonly PendingPrompt[] = [];
  #lastId = 0;
  #clients = 0;
  #leftAlone: NodeJS.Timeout | undefined;

  constructor(options: ControlPrompterOptions = {}) {
    this.#terminal = options.terminal;
    this.#answerMs = options.answerMs ?? ANSWER_MS;
    this.#leftAloneMs = options.leftAloneMs ?? LEFT_ALONE_MS;
  }

  get present(): boolean {
    return this.#clients > 0 || this.#atTerminal;
  }

  get #atTerminal(): boolean {
    return this.#terminal !== undefined && this.#terminal.present !== false;
  }

  get pending(): readonly PendingPrompt[] {
    return this.#pending;
  }

  ask(prompt: Prompt, signal: AbortSignal): Promise<string | undefined> {
    if (signal.aborted || !this.present || this.#open.size >= MAX_PENDING) return Promise.resolve(undefined);
    const id = ++this.#lastId;
    const withdrawn = new AbortController();
    return new Promise((resolve) => {
      const settle = (answer?: string) => {
        if (!this.#open.delete(id)) return;
        clearTimeout(deadline);
        signal.removeEventListener("abort", onAbort);
        withdrawn.abort();
        this.#changed();
        resolve(answer);
      };
      const onAbort = () => settle();
      const deadline = setTimeout(settle, this.#answerMs);
      signal.addEventListener("abort", onAbort, { once: true });
      const { upstream } = prompt;
      this.#open.set(id, {
        prompt: { id, upstream, askedAt: Date.now(), question: questionOf(prompt) },
        settle,
      });
      this.#changed();
      if (this.#atTerminal) this.#terminal!.ask(prompt, withdrawn.signal).then(settle, onAbort);
    });
  }

  attend(): () => void {
    this.#clients++;
    clearTimeout(this.#leftAlone);
    let left = false;
    return () => {
      if (left) return;
      left = true;
      this.#clients--;
      if (this.present) return;
      this.#leftAlone = setTimeout(() => this.close(), this.#leftAloneMs);
      this.#leftAlone.unref();
    };
  }

  answer(id: number, answer: string | undefined): boolean {
    const asked = this.#open.get(id);
    asked?.settle(answer);
    return asked !== undefined;
  }

  /** Declines all that is being asked. */
  close(): void {
    clearTimeout(this.#leftAlone);
    for (const { settle } of [...this.#open.values()]) settle();
  }

  #changed(): void {
    this.#pending = [...this.#open.values()].map(({ prompt }) => prompt);
  }
}

/** What a server says is made harmless and cut where it is long. */
function questionOf(prompt: Prompt): PromptQuestion {
  switch (prompt.kind) {
    case "passphrase":
      return { kind: "passphrase", file: prompt.file, ...(prompt.again && { again: true }) };
    case "password":
      return { kind: "password", user: prompt.user, host: prompt.host, ...(prompt.again && { again: true }) };
    case "keyboard-interactive": {
      const { kind, title, instructions, prompt: text, echo } = prompt;
      return { kind, title: scrub(title), instructions: scrub(instructions), prompt: scrub(text), echo };
    }
    case "host-key": {
      const { kind, host, keyType, fingerprint } = prompt;
      return { kind, host, keyType, fingerprint };
    }
  }
}
