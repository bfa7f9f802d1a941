import { X } from "lucide-react";
import { type ReactNode, useId, useLayoutEffect, useRef } from "react";
import { useText } from "../i18n/text.ts";
import { IconButton } from "./button.tsx";
import styles from "./dialog.module.css";

export interface DialogProps {
  readonly title: ReactNode;
  /** Escape, the cross, or a press beside it. */
  readonly onClose: () => void;
  /** Buttons, the main one last. */
  readonly foot?: ReactNode;
  /** Between the content and the buttons, always in sight: how what they began goes on. */
  readonly tray?: ReactNode;
  readonly shape?: "middle" | "wide" | "side";
  /** Makes it a form: Return submits. */
  readonly onSubmit?: () => void;
  /** It can't be left by accident: a press beside it does nothing. */
  readonly firm?: boolean;
  readonly children: ReactNode;
}

/**
 * Mounted while it is open. The browser keeps the focus in it, and gives it back. What has `data-first-focus` has it first;
 * without one it is the dialog itself, so that a key that was meant for the page presses nothing.
 */
export function Dialog(props: DialogProps) {
  const { title, onClose, foot, tray, shape = "middle", onSubmit, firm, children } = props;
  const text = useText();
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  // Closed while it is still in the page: one that was taken out gives no focus back.
  useLayoutEffect(() => {
    const element = dialog.current;
    element?.showModal();
    (element?.querySelector<HTMLElement>("[data-first-focus]") ?? element)?.focus();
    return () => element?.close();
  }, []);
  const inside = (
    <>
      <header className={styles["head"]}>
        <h2 id={id}>{title}</h2>
        <IconButton label={text.common.close} icon={<X size={16} />} onClick={onClose} />
      </header>
      <div className={styles["body"]}>{children}</div>
      {tray !== undefined && <div className={styles["tray"]}>{tray}</div>}
      {foot !== undefined && <footer className={styles["foot"]}>{foot}</footer>}
    </>
  );
  return (
    <dialog
      ref={dialog}
      tabIndex={-1}
      aria-labelledby={id}
      className={[styles["dialog"], styles[shape]].filter(Boolean).join(" ")}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onMouseDown={(event) => {
        if (event.target === dialog.current && firm !== true) onClose();
      }}
    >
      {onSubmit === undefined ? (
        inside
      ) : (
        <form
          className={styles["form"]}
          noValidate
          onSubmit={(event) => {
            event.preventDefault();
            onSubmit();
          }}
        >
          {inside}
        </form>
      )}
    </dialog>
  );
}
