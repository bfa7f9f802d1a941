import { Search } from "lucide-react";
import {
  type InputHTMLAttributes,
  type ReactNode,
  type SelectHTMLAttributes,
  type TextareaHTMLAttributes,
  useId,
} from "react";
import styles from "./field.module.css";

/** What a field's control is given, so that it is labelled and its error is heard. */
export interface Labelled {
  readonly id: string;
  readonly "aria-describedby": string | undefined;
  readonly "aria-invalid": boolean | undefined;
}

export interface FieldProps {
  readonly label: ReactNode;
  readonly hint?: ReactNode;
  /** What is wrong, with what would be right. */
  readonly error?: ReactNode;
  /** A word beside the label: "optional", a default. */
  readonly note?: ReactNode;
  readonly children: (control: Labelled) => ReactNode;
}

export function Field({ label, hint, error, note, children }: FieldProps) {
  const id = useId();
  const wrong = error !== undefined && error !== "" && error !== null;
  const explained = wrong || hint !== undefined;
  return (
    <div className={styles["field"]}>
      <label htmlFor={id} className={styles["label"]}>
        <span>{label}</span>
        {note !== undefined && <span className={styles["optional"]}>{note}</span>}
      </label>
      {children({
        id,
        "aria-describedby": explained ? `${id}-about` : undefined,
        "aria-invalid": wrong || undefined,
      })}
      <div id={`${id}-about`}>
        {wrong ? (
          <div className={styles["error"]}>{error}</div>
        ) : (
          hint !== undefined && <div className={styles["hint"]}>{hint}</div>
        )}
      </div>
    </div>
  );
}

type Plain<T> = Omit<T, "className"> & {
  /** In a dialog: it has the focus when that opens. */
  readonly "data-first-focus"?: boolean | undefined;
};

export function TextInput({
  mono,
  ...rest
}: Plain<InputHTMLAttributes<HTMLInputElement>> & { readonly mono?: boolean }) {
  return (
    <input
      type="text"
      autoComplete="off"
      autoCorrect="off"
      autoCapitalize="off"
      spellCheck={false}
      {...rest}
      className={mono === true ? `${styles["input"]} ${styles["mono"]}` : styles["input"]}
    />
  );
}

export function TextArea(props: Plain<TextareaHTMLAttributes<HTMLTextAreaElement>>) {
  return <textarea spellCheck={false} {...props} className={`${styles["input"]} ${styles["mono"]}`} />;
}

export function Select(props: Plain<SelectHTMLAttributes<HTMLSelectElement>>) {
  return <select {...props} className={styles["input"]} />;
}

/** A search box: its label is its placeholder, heard as its name. */
export function SearchInput({
  label,
  ...rest
}: Plain<InputHTMLAttributes<HTMLInputElement>> & { readonly label: string }) {
  return (
    <div className={styles["search"]}>
      <Search size={14} aria-hidden="true" />
      <TextInput type="search" aria-label={label} placeholder={label} {...rest} />
    </div>
  );
}
