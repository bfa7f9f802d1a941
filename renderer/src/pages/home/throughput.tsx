import { useEngine } from "../../engine/engine.ts";
import { RATE_SECONDS } from "../../engine/rates.ts";
import { useFormat, useText } from "../../i18n/text.ts";
import { Chart } from "../../ui/chart.tsx";
import { Card } from "../../ui/surface.tsx";
import styles from "./home.module.css";

/** The axis shows no noise as if it were traffic. */
const LEAST_TOP = 10_000;

/** What goes through now, and did in the last five minutes. */
export function Throughput() {
  const text = useText();
  const format = useFormat();
  const rates = useEngine((state) => state.rates);
  const last = rates.at(-1);
  const [down, up] = [format.rate(last?.down ?? 0), format.rate(last?.up ?? 0)];
  const end = last?.at ?? Date.now();
  return (
    <Card
      title={text.home.throughput}
      actions={
        <div className={`${styles["now"]} figures`}>
          <span>
            <i className={styles["key"]} style={{ background: "var(--series-down)" }} />
            {text.common.down} <b>{down}</b>
          </span>
          <span>
            <i className={styles["key"]} style={{ background: "var(--series-up)" }} />
            {text.common.up} <b>{up}</b>
          </span>
        </div>
      }
    >
      <Chart
        label={text.home.graph(down, up)}
        height={190}
        times={rates.map(({ at }) => at)}
        range={[end - RATE_SECONDS * 1000, end]}
        atLeast={LEAST_TOP}
        format={format.rate}
        formatTime={format.time}
        formatTick={format.clock}
        series={[
          { label: text.common.down, colour: "series-down", values: rates.map((rate) => rate.down) },
          { label: text.common.up, colour: "series-up", values: rates.map((rate) => rate.up), line: "plain" },
        ]}
      />
    </Card>
  );
}
