import { ChevronRight } from "lucide-react";
import type { ReactNode } from "react";
import styles from "./disclosure.module.css";

/** What most people need not see, one press away. */
export function Disclosure({
  label,
  note,
  open,
  onToggle,
  children,
}: {
  readonly label: string;
  /** Beside the label: how much is set inside, say. */
  readonly note?: ReactNode;
  readonly open: boolean;
  readonly onToggle: (open: boolean) => void;
  readonly children: ReactNode;
}) {
  return (
    <details
      className={styles["details"]}
      open={open}
      onToggle={(event) => onToggle(event.currentTarget.open)}
    >
      <summary className={styles["summary"]}>
        <ChevronRight size={14} aria-hidden="true" />
        <span>{label}</span>
        {note !== undefined && <span className={styles["note"]}>{note}</span>}
      </summary>
      <div className={styles["inside"]}>{children}</div>
    </details>
  );
}
