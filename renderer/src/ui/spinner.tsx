import styles from "./spinner.module.css";

/** Something goes on. Who shows it says in words what. */
export function Spinner({ className }: { readonly className?: string | undefined }) {
  return (
    <svg
      className={[styles["spinner"], className].filter(Boolean).join(" ")}
      viewBox="0 0 16 16"
      fill="none"
      stroke="currentColor"
      strokeWidth="2"
      strokeLinecap="round"
      aria-hidden="true"
    >
      <path d="M8 1.75a6.25 6.25 0 1 1-6.25 6.25" />
    </svg>
  );
}
