import { X } from "lucide-react";
import { useEffect, useRef } from "react";
import { create } from "zustand";
import { failureText } from "../i18n/failure.ts";
import { useText } from "../i18n/text.ts";
import { Button, IconButton } from "./button.tsx";
import styles from "./toast.module.css";

export interface Toast {
  readonly message: string;
  /** In the place of the message, in the words of the page's language. */
  readonly error?: unknown;
  readonly bad?: boolean;
  /** "Undo", say. */
  readonly action?: { readonly label: string; readonly run: () => void };
}

interface Shown extends Toast {
  readonly id: number;
}

/** With something to press it stays long enough to be reached. */
const SHOWN_MS = 5_000;
const SHOWN_WITH_ACTION_MS = 12_000;
const MAX_TOASTS = 4;

const useToasts = create<{ readonly shown: readonly Shown[] }>(() => ({ shown: [] }));
let count = 0;

/** Says it for a while, in a corner, aloud to who listens. */
export function toast(what: Toast): void {
  const id = ++count;
  useToasts.setState(({ shown }) => ({ shown: [...shown, { ...what, id }].slice(-MAX_TOASTS) }));
}

/** Says why something failed. */
export function toastFailure(error: unknown): void {
  toast({ message: "", error, bad: true });
}

function dismiss(id: number): void {
  useToasts.setState(({ shown }) => ({ shown: shown.filter((one) => one.id !== id) }));
}

export function Toasts() {
  const shown = useToasts((state) => state.shown);
  const region = useRef<HTMLDivElement>(null);
  const newest = shown.at(-1)?.id;
  useEffect(() => {
    const element = region.current;
    if (!element) return;
    // Shown anew for each: on the top layer the last comes first, over a dialog that opened meanwhile.
    element.hidePopover();
    if (newest !== undefined) element.showPopover();
  }, [newest]);
  return (
    <div ref={region} popover="manual" role="status" aria-live="polite" className={styles["region"]}>
      {shown.map((one) => (
        <ToastBox key={one.id} shown={one} />
      ))}
    </div>
  );
}

function ToastBox({ shown }: { readonly shown: Shown }) {
  const text = useText();
  const { id, action } = shown;
  const lasting = action !== undefined || shown.bad === true;
  useEffect(() => {
    const timer = setTimeout(() => dismiss(id), lasting ? SHOWN_WITH_ACTION_MS : SHOWN_MS);
    return () => clearTimeout(timer);
  }, [id, lasting]);
  return (
    <div className={shown.bad === true ? `${styles["toast"]} ${styles["bad"]}` : styles["toast"]}>
      <p>{shown.error === undefined ? shown.message : failureText(text, shown.error)}</p>
      {action !== undefined && (
        <Button
          kind="quiet"
          onClick={() => {
            dismiss(id);
            action.run();
          }}
        >
          {action.label}
        </Button>
      )}
      <IconButton label={text.common.close} icon={<X size={14} />} onClick={() => dismiss(id)} />
    </div>
  );
}
