import { type KeyboardEvent, type PointerEvent, useRef, useState } from "react";

export interface RowOrder {
  /** For each row, in the order shown. */
  readonly row: (id: string) => {
    readonly ref: (element: HTMLElement | null) => void;
    readonly onKeyDown: (event: KeyboardEvent) => void;
    readonly "data-dragging": boolean | undefined;
    /** Where what is dragged would go: a line is drawn there. */
    readonly "data-drop": "before" | "after" | undefined;
  };
  /** For what the row is taken hold of by. */
  readonly handle: (id: string) => {
    readonly onPointerDown: (event: PointerEvent) => void;
    readonly onPointerMove: (event: PointerEvent) => void;
    readonly onPointerUp: () => void;
    readonly onPointerCancel: () => void;
  };
}

/**
 * Rows of any height that are put in another order by dragging, and with Alt and the arrows from anywhere in them. Whoever uses it offers
 * the same in a menu, and tells aloud what has moved.
 * @param move `to` is the row's new index.
 */
export function useRowOrder(ids: readonly string[], move: (id: string, to: number) => void): RowOrder {
  const rows = useRef(new Map<string, HTMLElement>());
  const [drag, setDrag] = useState<{ readonly id: string; readonly gap: number }>();

  /** The gap between two rows that is nearest, from 0 to their number. */
  const gapAt = (y: number) =>
    ids.filter((id) => {
      const box = rows.current.get(id)?.getBoundingClientRect();
      return box !== undefined && y > box.top + box.height / 2;
    }).length;

  const dropped = () => {
    setDrag(undefined);
    if (!drag) return;
    const from = ids.indexOf(drag.id);
    const to = drag.gap > from ? drag.gap - 1 : drag.gap;
    if (to !== from) move(drag.id, to);
  };

  const dropOn = (id: string): "before" | "after" | undefined => {
    if (!drag) return undefined;
    const index = ids.indexOf(id);
    if (index === drag.gap) return "before";
    return drag.gap === ids.length && index === ids.length - 1 ? "after" : undefined;
  };

  return {
    row: (id) => ({
      ref(element) {
        if (element) rows.current.set(id, element);
        else rows.current.delete(id);
      },
      onKeyDown(event) {
        if (!event.altKey || (event.key !== "ArrowUp" && event.key !== "ArrowDown")) return;
        event.preventDefault();
        const to = ids.indexOf(id) + (event.key === "ArrowUp" ? -1 : 1);
        if (to >= 0 && to < ids.length) move(id, to);
      },
      "data-dragging": drag?.id === id || undefined,
      "data-drop": dropOn(id),
    }),
    handle: (id) => ({
      onPointerDown(event) {
        if (event.button !== 0) return;
        event.preventDefault();
        event.currentTarget.setPointerCapture(event.pointerId);
        setDrag({ id, gap: ids.indexOf(id) });
      },
      onPointerMove(event) {
        if (drag) setDrag({ id, gap: gapAt(event.clientY) });
      },
      onPointerUp: dropped,
      onPointerCancel: () => setDrag(undefined),
    }),
  };
}
