import { useText } from "../i18n/text.ts";
import styles from "./prompts.module.css";

/** That more questions wait. */
export function Behind({ count }: { readonly count: number }) {
  const text = useText().prompts;
  return <span className={styles["behind"]}>{count > 0 ? text.behind(count) : ""}</span>;
}
