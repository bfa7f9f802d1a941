import type { ShortcutPart } from "./parts.ts";

/** The one global shortcut of ours. */
export class Shortcut {
  readonly #system: ShortcutPart;
  readonly #onPressed: () => void;
  #current: string | null = null;

  constructor(system: ShortcutPart, onPressed: () => void) {
    this.#system = system;
    this.#onPressed = onPressed;
  }

  /**
   * Takes the shortcut in place of the one before, which stays where that fails. Null: none.
   * @throws {Error} with a sentence: another program has it, or it is no shortcut.
   */
  use(accelerator: string | null): void {
    if (accelerator === this.#current) return;
    if (accelerator !== null && !this.#take(accelerator)) {
      throw new Error(`${accelerator} is in use by another program, or can't be a shortcut here`);
    }
    if (this.#current !== null) this.#system.unregister(this.#current);
    this.#current = accelerator;
  }

  #take(accelerator: string): boolean {
    try {
      return this.#system.register(accelerator, this.#onPressed);
    } catch {
      // What is no accelerator at all is an exception of Electron's.
      return false;
    }
  }
}
