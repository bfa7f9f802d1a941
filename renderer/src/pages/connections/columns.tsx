import type { FlowSort } from "@sockeye/engine/control/contract";
import { ArrowDown, ArrowUp } from "lucide-react";
import type { Text } from "../../i18n/text.ts";
import styles from "./connections.module.css";

/** In this order; `class` says below which width a column goes. */
export const columns = [
  { by: "target" },
  { by: "process", class: "wide" },
  { by: "upstream", class: "roomy" },
  { by: "rule", class: "wide" },
  { by: "rate", number: true },
  { by: "down", number: true, class: "middle" },
  { by: "up", number: true, class: "wide" },
  { by: "age", number: true, class: "middle" },
] as const satisfies readonly { by: FlowSort["by"]; number?: true; class?: string }[];

/** The head of a column, which sorts by it. */
export function ColumnHead({
  column,
  sort,
  onSort,
  text,
}: {
  readonly column: (typeof columns)[number];
  readonly sort: FlowSort;
  readonly onSort: (sort: FlowSort) => void;
  readonly text: Text;
}) {
  const { by } = column;
  const sorted = sort.by === by;
  const numeric = "number" in column;
  const Arrow = sort.descending ? ArrowDown : ArrowUp;
  return (
    <span
      role="columnheader"
      aria-sort={sorted ? (sort.descending ? "descending" : "ascending") : undefined}
      className={"class" in column ? styles[column.class] : undefined}
    >
      <button
        type="button"
        className={[styles["sort"], numeric && styles["number"]].filter(Boolean).join(" ")}
        style={{ width: "100%" }}
        data-sorted={sorted || undefined}
        // The most is what one looks for among numbers, the first letter among names; the newest among ages.
        onClick={() => onSort({ by, descending: sorted ? !sort.descending : numeric && by !== "age" })}
      >
        {text.connections.columns[by]}
        {sorted && <Arrow size={12} aria-hidden="true" />}
      </button>
    </span>
  );
}
