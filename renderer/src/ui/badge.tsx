import type { ReactNode } from "react";
import styles from "./badge.module.css";

/** A word about what stands before it. */
export function Badge({
  kind = "plain",
  title,
  children,
}: {
  readonly kind?: "plain" | "accent" | "warn";
  readonly title?: string;
  readonly children: ReactNode;
}) {
  return (
    <span className={`${styles["badge"]} ${styles[kind]}`} title={title}>
      {children}
    </span>
  );
}
