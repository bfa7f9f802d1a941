import { type ReactNode, useId } from "react";
import styles from "./switch.module.css";

export interface SwitchProps {
  readonly checked: boolean;
  readonly onChange: (checked: boolean) => void;
  readonly disabled?: boolean;
  readonly label?: string;
  readonly labelledBy?: string;
  readonly describedBy?: string | undefined;
}

export function Switch({ checked, onChange, disabled, label, labelledBy, describedBy }: SwitchProps) {
  return (
    <button
      type="button"
      role="switch"
      aria-checked={checked}
      aria-label={label}
      aria-labelledby={labelledBy}
      aria-describedby={describedBy}
      disabled={disabled}
      className={styles["switch"]}
      onClick={() => onChange(!checked)}
    />
  );
}

export interface SettingRowProps {
  readonly label: ReactNode;
  readonly hint?: ReactNode;
  readonly error?: ReactNode;
  /** Given the ids of the label and of what explains it. */
  readonly children: (ids: {
    readonly labelledBy: string;
    readonly describedBy: string | undefined;
  }) => ReactNode;
}

/** A setting: what it is at the left, with what it means; its control at the right. */
export function SettingRow({ label, hint, error, children }: SettingRowProps) {
  const id = useId();
  const explained = hint !== undefined || error !== undefined;
  return (
    <div className={styles["row"]}>
      <div className={styles["words"]}>
        <div id={id} className={styles["label"]}>
          {label}
        </div>
        {explained && (
          <div id={`${id}-hint`}>
            {hint !== undefined && <div className={styles["hint"]}>{hint}</div>}
            {error !== undefined && <div className={styles["error"]}>{error}</div>}
          </div>
        )}
      </div>
      {children({ labelledBy: id, describedBy: explained ? `${id}-hint` : undefined })}
    </div>
  );
}
