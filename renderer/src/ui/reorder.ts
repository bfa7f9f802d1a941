import { type KeyboardEvent, type PointerEvent, type RefObject, useState } from "react";

export interface ReorderOptions {
  readonly count: number;
  /** The box whose top is the first row's top, scrolled or not. */
  readonly box: RefObject<HTMLElement | null>;
  readonly rowHeight: number;
  readonly onMove: (from: number, to: number) => void;
}

export interface Reorder {
  /** The row that is held, and the place that it would take. */
  readonly held: { readonly from: number; readonly to: number } | undefined;
  /** For the handle of a row: drag it, or Alt with the arrows. */
  handle(index: number): {
    onPointerDown(event: PointerEvent<HTMLElement>): void;
    onPointerMove(event: PointerEvent<HTMLElement>): void;
    onPointerUp(): void;
    onPointerCancel(): void;
    onKeyDown(event: KeyboardEvent<HTMLElement>): void;
  };
}

/** Rows of one height, moved by pointer or keyboard. */
export function useReorder({ count, box, rowHeight, onMove }: ReorderOptions): Reorder {
  const [held, setHeld] = useState<{ from: number; to: number }>();
  return {
    held,
    handle: (index) => ({
      onPointerDown(event) {
        if (event.button !== 0) return;
        event.currentTarget.setPointerCapture(event.pointerId);
        setHeld({ from: index, to: index });
      },
      onPointerMove(event) {
        if (!held || !box.current) return;
        const top = box.current.getBoundingClientRect().top;
        const over = Math.floor((event.clientY - top) / rowHeight);
        setHeld({ from: held.from, to: Math.max(0, Math.min(count - 1, over)) });
      },
      onPointerUp() {
        setHeld(undefined);
        if (held && held.from !== held.to) onMove(held.from, held.to);
      },
      onPointerCancel: () => setHeld(undefined),
      onKeyDown(event) {
        if (event.key === "Escape" && held) {
          setHeld(undefined);
          return;
        }
        const step = event.altKey ? { ArrowUp: -1, ArrowDown: 1 }[event.key] : undefined;
        const to = index + (step ?? 0);
        if (step === undefined || to < 0 || to >= count) return;
        event.preventDefault();
        onMove(index, to);
      },
    }),
  };
}

/** The list with one of it at another place. */
export function moved<T>(list: readonly T[], from: number, to: number): T[] {
  const rest = list.filter((_, index) => index !== from);
  return [...rest.slice(0, to), list[from]!, ...rest.slice(to)];
}
