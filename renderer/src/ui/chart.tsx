import "uplot/dist/uPlot.min.css";
import { useEffect, useRef } from "react";
import UPlot from "uplot";
import { useColours } from "../preferences/preferences.ts";
import styles from "./chart.module.css";

export interface ChartSeries {
  readonly label: string;
  /** The name of a colour of the tokens: `series-down`. */
  readonly colour: string;
  /** One for each time; null where there is none. */
  readonly values: readonly (number | null)[];
  /** Default: a filled line. */
  readonly line?: "filled" | "plain" | "dashed";
}

export interface ChartProps {
  /** What it shows, in a sentence: a chart is an image to who hears it. */
  readonly label: string;
  /** Milliseconds since 1970, ascending. */
  readonly times: readonly number[];
  readonly series: readonly ChartSeries[];
  /** Where the time axis begins and ends, in milliseconds since 1970. */
  readonly range: readonly [number, number];
  readonly height: number;
  /** A value of the y axis, in words. */
  readonly format: (value: number) => string;
  readonly formatTime: (at: number) => string;
  /** A time under the axis. */
  readonly formatTick: (at: number) => string;
  /** The y axis reaches at least to here. */
  readonly atLeast?: number;
}

/** In pixels: room for the values at the left, and for half of a line's width at the right. */
const AXIS_WIDTH = 68;
const EDGE = 2;
/** Of a figure in the axes' letters. */
const FIGURE_WIDTH = 6.5;

/** Lines over time. It is drawn again when values come, and made anew only when its series or the theme change. */
export function Chart(props: ChartProps) {
  const { label, series, height } = props;
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<UPlot>(undefined);
  const latest = useRef(props);
  const colours = useColours();
  const shape = JSON.stringify([series.map((one) => [one.label, one.colour, one.line]), height]);

  useEffect(() => {
    const element = box.current;
    if (!element) return undefined;
    const made = new UPlot(optionsFor(element, latest), dataOf(latest.current), element);
    plot.current = made;
    const resized = new ResizeObserver(() => {
      made.setSize({ width: element.clientWidth, height: latest.current.height });
    });
    resized.observe(element);
    return () => {
      resized.disconnect();
      made.destroy();
    };
  }, [shape, colours]);

  useEffect(() => {
    latest.current = props;
    const current = plot.current;
    if (!current) return;
    current.setData(dataOf(props), false);
    current.setScale("x", { min: props.range[0] / 1000, max: props.range[1] / 1000 });
  });

  return <div ref={box} role="img" aria-label={label} className={styles["chart"]} style={{ height }} />;
}

function dataOf({ times, series }: ChartProps): UPlot.AlignedData {
  return [times.map((at) => at / 1000), ...series.map(({ values }) => values as (number | null)[])];
}

function optionsFor(element: HTMLElement, latest: { readonly current: ChartProps }): UPlot.Options {
  const [line, faint] = [resolved(element, "line"), resolved(element, "text-faint")];
  const font = `11px ${getComputedStyle(element).fontFamily}`;
  const { series, height } = latest.current;
  const axis: UPlot.Axis = {
    stroke: faint,
    font,
    grid: { stroke: line, width: 1 },
    ticks: { show: false },
    gap: 6,
  };
  return {
    width: Math.max(1, element.clientWidth),
    height,
    padding: [8, EDGE, 0, 0],
    cursor: { y: false, points: { size: 6 }, drag: { x: false, y: false } },
    legend: { show: false },
    scales: {
      x: { time: true },
      y: { range: (_plot, _low, high) => [0, niceTop(Math.max(high || 0, latest.current.atLeast ?? 0))] },
    },
    axes: [
      {
        ...axis,
        grid: { show: false },
        space: 90,
        size: 28,
        values: (plot, at) => ticksOf(plot, at, latest.current),
      },
      {
        ...axis,
        space: 36,
        size: AXIS_WIDTH,
        values: (_plot, ticks) => ticks.map((value) => latest.current.format(value)),
      },
    ],
    series: [
      {},
      ...series.map(({ label, colour, line: kind = "filled" }) => {
        const stroke = resolved(element, colour);
        return {
          label,
          stroke,
          width: 1.5,
          points: { show: false, size: 4, fill: stroke, filter: lonePoints },
          ...(kind === "filled" ? { fill: faded(stroke) } : {}),
          ...(kind === "dashed" ? { dash: [4, 4] } : {}),
        };
      }),
    ],
    plugins: [tooltip(latest)],
  };
}

/** The line ends where the card's words do. A time that would stand across that edge is left out. */
function ticksOf(plot: UPlot, at: readonly number[], { range, formatTick }: ChartProps): string[] {
  const [from, to] = range;
  const perMs = (plot.width - AXIS_WIDTH - EDGE) / (to - from);
  return at.map((seconds) => {
    const tick = formatTick(seconds * 1000);
    const half = (tick.length * FIGURE_WIDTH) / 2;
    return (to - seconds * 1000) * perMs < half - EDGE ? "" : tick;
  });
}

/** A value without another beside it makes no line, and would not be seen: the first of a history, say. */
const lonePoints = (plot: UPlot, series: number): number[] | null => {
  const values: (number | null | undefined)[] = Array.from(plot.data[series] ?? []);
  const alone = values.flatMap((value, index) => {
    return value != null && values[index - 1] == null && values[index + 1] == null ? [index] : [];
  });
  return alone.length > 0 ? alone : null;
};

/** Says the values under the pointer. */
function tooltip(latest: { readonly current: ChartProps }): UPlot.Plugin {
  const box = document.createElement("div");
  box.className = `${styles["tip"]} figures`;
  box.hidden = true;
  return {
    hooks: {
      init: (plot) => plot.over.append(box),
      setCursor(plot) {
        const { idx, left } = plot.cursor;
        const at = typeof idx === "number" ? plot.data[0][idx] : undefined;
        box.hidden = at === undefined || left === undefined || left < 0;
        if (box.hidden || typeof idx !== "number" || at === undefined || left === undefined) return;
        const { series, format, formatTime } = latest.current;
        const lines = series.map(({ label, values }) => {
          const value = values[idx];
          return `${label} ${value === null || value === undefined ? "–" : format(value)}`;
        });
        box.textContent = [formatTime(at * 1000), ...lines].join("   ");
        const room = plot.over.clientWidth - box.offsetWidth;
        box.style.left = `${Math.max(0, Math.min(left + 12, room))}px`;
        box.style.top = "4px";
      },
    },
  };
}

/** A round number at or above it: the axis does not tremble with each value. */
function niceTop(value: number): number {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return ([1, 2, 2.5, 5, 10].find((step) => step * power >= value) ?? 10) * power;
}

/** A token's colour as it is now, in the theme on the screen: a canvas knows no variables. */
function resolved(element: HTMLElement, name: string): string {
  const probe = document.createElement("span");
  probe.style.color = `var(--${name})`;
  element.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

function faded(colour: string): string {
  return colour.replace(/^rgb\(([^)]*)\)$/, "rgba($1, 0.12)");
}
