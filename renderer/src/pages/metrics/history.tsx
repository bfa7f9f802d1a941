import type { CallResult, HistoryPoint } from "@sockeye/engine/control/contract";
import { ControlError } from "@sockeye/engine/control/control-error";
import { ChartLine, DatabaseZap } from "lucide-react";
import { type ReactNode, useEffect, useState } from "react";
import { call, useEngine } from "../../engine/engine.ts";
import { failureText } from "../../i18n/failure.ts";
import { useFormat, useText } from "../../i18n/text.ts";
import { Chart, type ChartSeries } from "../../ui/chart.tsx";
import { Card, Empty, Notice, Skeleton } from "../../ui/surface.tsx";
import styles from "./metrics.module.css";

export const ranges = ["hour", "quarter", "day", "week"] as const;
export type Range = (typeof ranges)[number];

const HOUR_MS = 3_600_000;
const lengths: Readonly<Record<Range, number>> = {
  hour: HOUR_MS,
  quarter: 6 * HOUR_MS,
  day: 24 * HOUR_MS,
  week: 168 * HOUR_MS,
};
const POINTS = 240;
const REFRESH_MS = 10_000;
/** Bytes per second: an axis of single bytes would say nothing. */
const LEAST_RATE = 1_000;
const CHART_HEIGHT = 170;

interface Kept {
  readonly from: number;
  readonly to: number;
  readonly stepMs: number;
  readonly points: readonly HistoryPoint[];
}

/** One upstream over time, as the engine has kept it. */
export function History({ upstream, range }: { readonly upstream: string; readonly range: Range }) {
  const text = useText();
  const kept = useHistory(upstream, range);
  if (kept === "not kept") {
    return (
      <Card>
        <Empty icon={<DatabaseZap />} title={text.metrics.notKept}>
          {text.metrics.notKeptText}
        </Empty>
      </Card>
    );
  }
  if (kept instanceof Error) return <Notice kind="warn">{failureText(text, kept)}</Notice>;
  if (!kept) {
    return (
      <div className={styles["charts"]}>
        {[1, 2, 3, 4].map((place) => (
          <Skeleton key={place} height="15.25rem" />
        ))}
      </div>
    );
  }
  if (kept.points.length === 0) {
    return (
      <Card>
        <Empty icon={<ChartLine />} title={text.metrics.noHistory}>
          {text.metrics.noHistoryText}
        </Empty>
      </Card>
    );
  }
  return <Charts upstream={upstream} kept={kept} />;
}

/** Undefined while it comes; an error where it can't be had. */
function useHistory(upstream: string, range: Range): Kept | "not kept" | Error | undefined {
  const open = useEngine((state) => state.link.state === "open");
  const [kept, setKept] = useState<Kept | "not kept" | Error>();
  useEffect(() => {
    if (!open) return undefined;
    let current = true;
    const load = () => {
      const to = Date.now();
      const from = to - lengths[range];
      call("metrics.history", { from, to, points: POINTS, upstream }).then(
        (answer) => {
          if (current) setKept({ from, to, ...only(answer, upstream) });
        },
        (error: unknown) => {
          if (!current) return;
          const isKept = !(error instanceof ControlError) || error.code !== "unavailable";
          setKept(isKept ? (error instanceof Error ? error : new Error(String(error))) : "not kept");
        },
      );
    };
    load();
    const timer = setInterval(load, REFRESH_MS);
    return () => {
      current = false;
      clearInterval(timer);
    };
  }, [open, upstream, range]);
  return kept;
}

function only({ stepMs, series }: CallResult<"metrics.history">, upstream: string) {
  return { stepMs, points: series.find((one) => one.upstream === upstream)?.points ?? [] };
}

function Charts({ upstream, kept }: { readonly upstream: string; readonly kept: Kept }) {
  const text = useText();
  const format = useFormat();
  const { metrics } = text;
  const { points, stepMs } = kept;
  const seconds = stepMs / 1000;
  const values = (read: (point: HistoryPoint) => number | null) => points.map(read);
  const whole = (value: number) => (Number.isInteger(value) ? format.number(value) : "");
  const panel = (
    title: string,
    series: ChartSeries[],
    write: (value: number) => string,
    { more = null, atLeast = 1 }: { readonly more?: ReactNode; readonly atLeast?: number } = {},
  ) => (
    <Card
      title={title}
      actions={
        <div className={styles["keys"]}>
          {series.length > 1 &&
            series.map(({ label, colour }) => (
              <span key={label}>
                <i className={styles["key"]} style={{ background: `var(--${colour})` }} />
                {label}
              </span>
            ))}
          {more}
        </div>
      }
    >
      <Chart
        label={metrics.chart(title, upstream)}
        height={CHART_HEIGHT}
        times={points.map(({ at }) => at)}
        range={[kept.from, kept.to]}
        series={series}
        format={write}
        formatTime={format.moment}
        formatTick={lengths.day < kept.to - kept.from ? format.moment : format.clock}
        atLeast={atLeast}
      />
    </Card>
  );
  const span = <span>{metrics.perSpan(format.duration(stepMs))}</span>;
  return (
    <div className={styles["charts"]}>
      {panel(
        metrics.traffic,
        [
          { label: text.common.down, colour: "series-down", values: values(({ down }) => down / seconds) },
          {
            label: text.common.up,
            colour: "series-up",
            values: values(({ up }) => up / seconds),
            line: "plain",
          },
        ],
        format.rate,
        { atLeast: LEAST_RATE },
      )}
      {panel(
        metrics.latency,
        [
          {
            label: metrics.latency,
            colour: "series-down",
            values: values(({ dialMs }) => dialMs ?? null),
            line: "plain",
          },
        ],
        format.latency,
      )}
      {panel(
        metrics.connections,
        [
          {
            label: metrics.connections,
            colour: "series-down",
            values: values(({ connections }) => connections),
          },
        ],
        whole,
        { more: span },
      )}
      {panel(
        metrics.errors,
        [
          { label: metrics.errors, colour: "danger", values: values(({ errors }) => errors) },
          {
            label: metrics.reconnects,
            colour: "warn",
            values: values(({ reconnects }) => reconnects),
            line: "dashed",
          },
        ],
        whole,
        { more: span },
      )}
    </div>
  );
}
