import { type FocusEvent, type RefObject, useEffect, useRef, useState } from "react";
import type { FlowWindow } from "./flow-window.ts";

/** The row that has the focus. It follows its flow as the order changes: a key is never meant for another that came in its place. */
export function useFollowedFlow(shown: FlowWindow, body: RefObject<HTMLElement | null>) {
  const [wanted, setWanted] = useState<{ readonly index: number; readonly id: number | undefined }>({
    index: 0,
    id: undefined,
  });
  const focused = useRef(false);
  const followed = wanted.id === undefined ? undefined : shown.place(wanted.id);
  const active = Math.max(0, Math.min(followed ?? wanted.index, (shown.total ?? 0) - 1));
  const id = shown.row(active)?.id;
  useEffect(() => {
    if (active !== wanted.index || id !== wanted.id) setWanted({ index: active, id });
    const now = document.activeElement;
    const within = now === document.body || body.current?.contains(now) === true;
    const row = body.current?.querySelector<HTMLElement>(`[data-index="${active}"]`);
    if (focused.current && within && row && !row.contains(now)) row.focus({ preventScroll: true });
  }, [active, id, wanted, body]);
  return {
    active,
    setActive: (index: number) => setWanted({ index, id: shown.row(index)?.id }),
    focus: {
      onFocus: ({ target }: FocusEvent) => {
        focused.current = true;
        const index = indexOf(target);
        if (index !== undefined) setWanted({ index, id: shown.row(index)?.id });
      },
      // A dialog gives the focus back while React listens to nothing; whoever presses a key here has it.
      onKeyDownCapture: () => {
        focused.current = true;
      },
      onBlur: ({ currentTarget, target, relatedTarget }: FocusEvent) => {
        if (currentTarget.contains(relatedTarget)) return;
        // A row that goes away takes the focus with it, and hears of it while it is still there: the next one has it then.
        requestAnimationFrame(() => {
          if (target.isConnected && !currentTarget.contains(document.activeElement)) focused.current = false;
        });
      },
    },
  };
}

/** Of the row that something is in. */
export function indexOf(target: EventTarget): number | undefined {
  const index = target instanceof Element ? target.closest("[data-index]")?.getAttribute("data-index") : null;
  return index == null ? undefined : Number(index);
}
