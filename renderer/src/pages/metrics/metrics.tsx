import { useState } from "react";
import { useEngine } from "../../engine/engine.ts";
import { useText } from "../../i18n/text.ts";
import { Segmented } from "../../ui/segmented.tsx";
import { Page } from "../../ui/surface.tsx";
import { History, type Range, ranges } from "./history.tsx";
import styles from "./metrics.module.css";
import { NumbersTable } from "./numbers-table.tsx";

/** Each upstream's numbers since the start, and one of them over time. */
export function MetricsPage() {
  const text = useText();
  const fallback = useEngine((state) => {
    const to = state.status?.default ?? "direct";
    return to === "direct" ? (state.upstreams.find(({ name }) => name !== "direct")?.name ?? to) : to;
  });
  const [chosen, setChosen] = useState<string>();
  const [range, setRange] = useState<Range>("hour");
  const upstream = chosen ?? fallback;
  return (
    <Page
      title={text.metrics.title}
      subtitle={text.metrics.subtitle}
      actions={
        <Segmented
          label={text.metrics.range}
          value={range}
          options={ranges.map((value) => ({ value, label: text.metrics.ranges[value] }))}
          onChange={setRange}
        />
      }
    >
      <div className={styles["page"]}>
        <NumbersTable chosen={upstream} onChoose={setChosen} />
        <History key={`${upstream} ${range}`} upstream={upstream} range={range} />
      </div>
    </Page>
  );
}
