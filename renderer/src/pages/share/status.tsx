import type { RequestRow } from "@sockeye/engine/control/contract";
import { useText } from "../../i18n/text.ts";
import styles from "./inspector.module.css";

/** How a request went: its status, or that it runs or has failed. */
export function Status({ row }: { readonly row: Pick<RequestRow, "state" | "status" | "upgrade"> }) {
  const words = useText().share.inspector;
  const { state, status } = row;
  if (state === "failed")
    return (
      <span className={styles["status"]} data-kind="bad">
        {status ?? words.failed}
      </span>
    );
  if (status === undefined)
    return (
      <span className={styles["status"]} data-kind="open">
        {words.open}
      </span>
    );
  const kind = status >= 500 ? "bad" : status >= 400 ? "warn" : "good";
  return (
    <span className={styles["status"]} data-kind={kind}>
      {status}
    </span>
  );
}
