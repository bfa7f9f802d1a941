import type { ConfigProblem } from "@sockeye/config-kit/problem";
import type { Logger } from "./observe/log.ts";

/** What people should know at once, one sentence each. A sentence is said once. */
export class Warnings {
  readonly #log: Logger;
  readonly #said = new Set<string>();

  constructor(log: Logger) {
    this.#log = log;
  }

  get all(): readonly string[] {
    return [...this.#said];
  }

  say(sentence: string): void {
    if (this.#said.has(sentence)) return;
    this.#said.add(sentence);
    this.#log.warn(sentence);
  }

  /** With the place in the file, where it has one. */
  sayOf({ message, line }: ConfigProblem): void {
    this.say(line === 0 ? message : `${message} (line ${line})`);
  }
}
