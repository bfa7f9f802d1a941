import { readConfigText } from "@sockeye/config-kit/read-text";
import { type ConfigWatch, watchConfig } from "@sockeye/config-kit/watch";

export interface WatchedFileOptions<T> {
  /** @throws {Error} whose sentence says what is wrong. */
  readonly parse: (text: string) => T;
  /** The new value is in force. */
  readonly onChange: () => void;
  /** The file is wrong, unreadable or gone, and what it said last stays in force; one sentence. */
  readonly onProblem: (sentence: string) => void;
}

/** What a file says, kept true while it changes. */
export class WatchedFile<T> {
  readonly path: string;
  value: T;
  readonly #options: WatchedFileOptions<T>;
  readonly #watch: ConfigWatch;

  /** @throws {Error} when the file can't be read, or is wrong: there is nothing to go on with. */
  static async open<T>(path: string, options: WatchedFileOptions<T>): Promise<WatchedFile<T>> {
    let text: string;
    try {
      text = await readConfigText(path);
    } catch (error) {
      throw new Error(`${path} can't be read: ${codeOf(error)}`, { cause: error });
    }
    return new WatchedFile(path, text, options);
  }

  private constructor(path: string, text: string, options: WatchedFileOptions<T>) {
    this.path = path;
    this.#options = options;
    this.value = options.parse(text);
    this.#watch = watchConfig(path, (change) => this.#changed(change), { running: text });
  }

  close(): void {
    this.#watch.close();
  }

  #changed(change: Parameters<Parameters<typeof watchConfig>[1]>[0]): void {
    const { parse, onChange, onProblem } = this.#options;
    switch (change.kind) {
      case "deleted":
        onProblem(`${this.path} is gone; what it said stays in force`);
        return;
      case "unreadable":
        onProblem(`${this.path} can't be read (${codeOf(change.error)}); what it said stays in force`);
        return;
      case "changed":
        try {
          this.value = parse(change.text);
        } catch (error) {
          onProblem(
            `${error instanceof Error ? error.message : String(error)}; what it said before stays in force`,
          );
          return;
        }
        onChange();
    }
  }
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? String(error);
}
