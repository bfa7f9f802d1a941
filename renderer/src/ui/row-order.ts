import { type KeyboardEvent, type PointerEvent, useEffect, useEffectEvent, useRef, useState } from "react";

export interface RowOrder {
  /** For the box of a row, with the class of `row-order.module.css`. */
  readonly row: (index: number) => {
    readonly ref: (element: HTMLElement | null) => void;
    readonly onKeyDown: (event: KeyboardEvent) => void;
    readonly "data-dragging": true | undefined;
    /** Where what is dragged would go: a line is drawn there. */
    readonly "data-drop": "before" | "after" | undefined;
  };
  /** For what the row is taken hold of by. */
  readonly handle: (index: number) => { readonly onPointerDown: (event: PointerEvent) => void };
}

/** As near as this to the edge of what scrolls, in pixels, it scrolls on. */
const EDGE = 28;
const SCROLL_STEP = 9;

/**
 * Rows of any height that are put in another order by dragging, and with Alt and the arrows from anywhere in them. Rows that are out of
 * sight need not be there; what scrolls is scrolled at its edges. Escape lets go. Whoever uses it offers the same in a menu, and tells
 * aloud what has moved.
 * @param onMove `to` is the row's new index.
 */
export function useRowOrder(count: number, onMove: (from: number, to: number) => void): RowOrder {
  const rows = useRef(new Map<number, HTMLElement>());
  /** `gap`: the nearest one between two rows, from 0 to their number. */
  const [drag, setDrag] = useState<{ readonly from: number; readonly gap: number }>();
  const pointer = useRef(0);
  const dragged = drag !== undefined;

  const follow = useEffectEvent(() => {
    if (drag) setDrag({ ...drag, gap: gapAt(pointer.current, rows.current) });
  });
  const drop = useEffectEvent(() => {
    setDrag(undefined);
    const to = drag && placeOf(drag);
    if (drag && to !== undefined && to !== drag.from) onMove(drag.from, to);
  });
  const scrolls = useEffectEvent(() => drag && scrollerOf(rows.current.get(drag.from)));
  // The window hears it all: a row that is scrolled out of sight goes, and its handle with it.
  useEffect(() => {
    if (!dragged) return undefined;
    const ended = new AbortController();
    const { signal } = ended;
    const scroller = scrolls();
    let frame = requestAnimationFrame(function scroll() {
      const step = scroller ? stepAt(pointer.current, scroller) : 0;
      if (step !== 0) {
        scroller?.scrollBy(0, step);
        follow();
      }
      frame = requestAnimationFrame(scroll);
    });
    const moved = (event: globalThis.PointerEvent) => {
      pointer.current = event.clientY;
      follow();
    };
    const pressed = (event: globalThis.KeyboardEvent) => {
      if (event.key !== "Escape") return;
      event.preventDefault();
      setDrag(undefined);
    };
    addEventListener("pointermove", moved, { signal });
    addEventListener("pointerup", () => drop(), { signal });
    addEventListener("pointercancel", () => setDrag(undefined), { signal });
    addEventListener("keydown", pressed, { signal });
    return () => {
      cancelAnimationFrame(frame);
      ended.abort();
    };
  }, [dragged]);
  // With another number of rows, the one in hand may be another.
  useEffect(() => setDrag(undefined), [count]);

  return {
    row: (index) => ({
      ref(element) {
        if (element) rows.current.set(index, element);
        else rows.current.delete(index);
      },
      onKeyDown(event) {
        if (!event.altKey || (event.key !== "ArrowUp" && event.key !== "ArrowDown")) return;
        event.preventDefault();
        const to = index + (event.key === "ArrowUp" ? -1 : 1);
        if (to >= 0 && to < count) onMove(index, to);
      },
      "data-dragging": drag?.from === index || undefined,
      "data-drop": drag && dropMark(drag, index, count),
    }),
    handle: (index) => ({
      onPointerDown(event) {
        if (event.button !== 0) return;
        // No text is selected on the way.
        event.preventDefault();
        pointer.current = event.clientY;
        setDrag({ from: index, gap: index });
      },
    }),
  };
}

/** Of the rows that are there. */
function gapAt(y: number, rows: ReadonlyMap<number, HTMLElement>): number {
  let gap = Math.min(...rows.keys());
  for (const [index, element] of rows) {
    const { top, height } = element.getBoundingClientRect();
    if (y > top + height / 2) gap = Math.max(gap, index + 1);
  }
  return gap;
}

/** The index that the row would have. */
function placeOf({ from, gap }: { readonly from: number; readonly gap: number }): number {
  return gap > from ? gap - 1 : gap;
}

function dropMark(
  drag: { readonly from: number; readonly gap: number },
  index: number,
  count: number,
): "before" | "after" | undefined {
  if (placeOf(drag) === drag.from) return undefined;
  if (index === drag.gap) return "before";
  return drag.gap === count && index === count - 1 ? "after" : undefined;
}

function scrollerOf(row: HTMLElement | undefined): HTMLElement | undefined {
  for (let at = row?.parentElement; at; at = at.parentElement) {
    const may = /auto|scroll/.test(getComputedStyle(at).overflowY);
    if (may && at.scrollHeight > at.clientHeight) return at;
  }
  return undefined;
}

function stepAt(y: number, scroller: HTMLElement): number {
  const { top, bottom } = scroller.getBoundingClientRect();
  if (y < top + EDGE) return -SCROLL_STEP;
  return y > bottom - EDGE ? SCROLL_STEP : 0;
}

/** The list with one of it at another place. */
export function moved<T>(list: readonly T[], from: number, to: number): T[] {
  const rest = list.filter((_, index) => index !== from);
  return [...rest.slice(0, to), list[from]!, ...rest.slice(to)];
}
