import type { ButtonHTMLAttributes, ReactNode, Ref } from "react";
import styles from "./button.module.css";
import { Spinner } from "./spinner.tsx";

export interface ButtonProps extends Omit<ButtonHTMLAttributes<HTMLButtonElement>, "className" | "type"> {
  /** One primary action a view. Default: secondary. */
  readonly kind?: "primary" | "secondary" | "quiet" | "danger";
  readonly icon?: ReactNode;
  /** What it started goes on: it can't be pressed again, and says so. */
  readonly busy?: boolean;
  readonly large?: boolean;
  readonly submit?: boolean;
  readonly ref?: Ref<HTMLButtonElement>;
  /** In a dialog: it has the focus when that opens. */
  readonly "data-first-focus"?: boolean | undefined;
}

export function Button({ kind = "secondary", icon, busy, large, submit, children, ...rest }: ButtonProps) {
  const classes = [styles["button"], styles[kind], busy && styles["busy"], large && styles["large"]];
  return (
    <button
      type={submit === true ? "submit" : "button"}
      {...rest}
      disabled={rest.disabled === true || busy === true}
      aria-busy={busy === true || undefined}
      className={classes.filter(Boolean).join(" ")}
    >
      {busy === true && <Spinner className={styles["spinner"]} />}
      {icon}
      {children}
    </button>
  );
}

/** A button that is only an icon: its label is heard, and seen as a tooltip. */
export function IconButton({
  label,
  icon,
  kind = "quiet",
  ...rest
}: Omit<ButtonProps, "children" | "large" | "icon"> & { readonly label: string; readonly icon: ReactNode }) {
  const { busy, submit, ...plain } = rest;
  return (
    <button
      type={submit === true ? "submit" : "button"}
      aria-label={label}
      title={label}
      {...plain}
      disabled={plain.disabled === true || busy === true}
      className={[styles["button"], styles[kind], styles["square"]].join(" ")}
    >
      {busy === true ? <Spinner /> : icon}
    </button>
  );
}
