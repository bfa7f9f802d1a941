import type { FlowRow } from "@sockeye/engine/control/contract";
import { X } from "lucide-react";
import { memo } from "react";
import { failureText } from "../../i18n/failure.ts";
import type { Format, Text } from "../../i18n/text.ts";
import { IconButton } from "../../ui/button.tsx";
import { StateMark } from "../../ui/state-mark.tsx";
import { Skeleton } from "../../ui/surface.tsx";
import styles from "./connections.module.css";

/** In pixels. */
export const ROW_HEIGHT = 34;

interface RowProps {
  readonly index: number;
  readonly flow: FlowRow | undefined;
  readonly active: boolean;
  /** As it is shown: most rows have the same from one second to the next. */
  readonly age: string;
  readonly format: Format;
  readonly text: Text;
}

/** It has no handlers of its own: what is pressed in it is heard by the body, which knows the row by its `data-index`. */
export const Row = memo(function Row({ index, flow, active, age, format, text }: RowProps) {
  const place = { transform: `translateY(${index * ROW_HEIGHT}px)` };
  if (!flow) {
    return (
      <div role="row" aria-rowindex={index + 2} data-index={index} className={styles["row"]} style={place}>
        <span role="cell">
          <Skeleton height="0.7rem" width="60%" />
        </span>
      </div>
    );
  }
  const { target, process, upstream, rule, rateUp, rateDown, up, down, error } = flow;
  const ended = flow.state === "ended";
  const rate = rateUp + rateDown;
  return (
    <div
      role="row"
      aria-rowindex={index + 2}
      data-index={index}
      tabIndex={active ? 0 : -1}
      className={ended ? classes.ended : classes.row}
      style={place}
    >
      <span
        role="cell"
        className={classes.target}
        title={error ? `${target}: ${failureText(text, error)}` : target}
      >
        <StateMark state={markOf(flow)} size={8} />
        <span className="visually-hidden">{text.connections.states[flow.state]}</span>
        <span>{target}</span>
      </span>
      <span role="cell" className={classes.process} title={process && `${process.name} (${process.pid})`}>
        {process?.name ?? "–"}
      </span>
      <span role="cell" className={classes.upstream} title={upstream}>
        {upstream === "direct" ? text.common.direct : upstream}
      </span>
      <span role="cell" className={classes.rule}>
        {rule === undefined ? text.connections.defaultRule : rule + 1}
      </span>
      <span role="cell" className={classes.rate}>
        {rate >= 1 ? format.rate(rate) : "–"}
      </span>
      <span role="cell" className={classes.down}>
        {format.bytes(down)}
      </span>
      <span role="cell" className={classes.up}>
        {format.bytes(up)}
      </span>
      <span role="cell" className={classes.age}>
        {age}
      </span>
      <span role="cell" className={classes.act}>
        {!ended && (
          <IconButton tabIndex={-1} label={text.connections.close(target)} icon={closeIcon} data-closes="" />
        )}
      </span>
    </div>
  );
});

const closeIcon = <X size={14} />;
const named = (...names: string[]) => names.map((name) => styles[name] ?? name).join(" ");
const classes = {
  row: named("row"),
  ended: named("row", "ended"),
  target: named("target"),
  process: named("wide", "faint"),
  upstream: named("roomy"),
  rule: named("wide", "faint"),
  rate: named("number", "figures"),
  down: named("middle", "number", "figures"),
  up: named("wide", "number", "figures"),
  age: named("middle", "number", "figures", "faint"),
  act: named("act"),
};

function markOf({ state, error, upstream }: FlowRow) {
  if (upstream === "block") return "blocked";
  if (error) return "trouble";
  switch (state) {
    case "dialing":
      return "connecting";
    case "open":
    case "half-closed":
      return "connected";
    case "ended":
      return "off";
  }
}
