import { type InputHTMLAttributes, type ReactNode, useId } from "react";
import styles from "./choice.module.css";

export interface ChoicesProps<Value extends string> {
  readonly label: ReactNode;
  readonly value: Value | undefined;
  readonly options: readonly {
    readonly value: Value;
    readonly label: ReactNode;
    readonly hint?: ReactNode;
  }[];
  readonly onChange: (value: Value) => void;
  readonly error?: ReactNode;
}

/** One of a few that need a sentence each: radio buttons below each other. None may be chosen yet. */
export function Choices<Value extends string>({
  label,
  value,
  options,
  onChange,
  error,
}: ChoicesProps<Value>) {
  const id = useId();
  return (
    <fieldset
      data-missing={error !== undefined || undefined}
      className={styles["choices"]}
      aria-describedby={error === undefined ? undefined : `${id}-error`}
    >
      <legend className={styles["legend"]}>{label}</legend>
      {options.map((option) => (
        <label key={option.value} className={styles["choice"]}>
          <input
            type="radio"
            name={id}
            checked={option.value === value}
            onChange={() => onChange(option.value)}
            aria-describedby={option.hint === undefined ? undefined : `${id}-${option.value}`}
          />
          <span>
            {option.label}
            {option.hint !== undefined && (
              <span id={`${id}-${option.value}`} className={styles["hint"]}>
                {option.hint}
              </span>
            )}
          </span>
        </label>
      ))}
      {error !== undefined && (
        <div id={`${id}-error`} className={styles["error"]}>
          {error}
        </div>
      )}
    </fieldset>
  );
}

/** A box to tick. Its label is beside it, or `aria-label`. */
export function Checkbox({
  label,
  ...rest
}: Omit<InputHTMLAttributes<HTMLInputElement>, "type" | "className"> & { readonly label?: ReactNode }) {
  const box = <input {...rest} type="checkbox" className={styles["box"]} />;
  if (label === undefined) return box;
  return (
    <label className={styles["choice"]}>
      {box}
      <span>{label}</span>
    </label>
  );
}
