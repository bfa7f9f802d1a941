import type { FlowRow, FlowSort } from "@sockeye/engine/control/contract";
import { useVirtualizer } from "@tanstack/react-virtual";
import { ArrowDown, ArrowUp, X } from "lucide-react";
import {
  type FocusEvent,
  type KeyboardEvent,
  memo,
  type MouseEvent,
  type ReactNode,
  type RefObject,
  useEffect,
  useRef,
  useState,
} from "react";
import { useNow } from "../../engine/now.ts";
import { type Format, type Text, useFormat, useText } from "../../i18n/text.ts";
import { IconButton } from "../../ui/button.tsx";
import { Skeleton } from "../../ui/surface.tsx";
import { StateMark } from "../../ui/state-mark.tsx";
import styles from "./connections.module.css";
import type { FlowWindow } from "./flow-window.ts";

const ROW_HEIGHT = 34;
/** In this order; `class` says below which width a column goes. */
const columns = [
  { by: "target" },
  { by: "process", class: "wide" },
  { by: "upstream" },
  { by: "rule", class: "wide" },
  { by: "rate", number: true },
  { by: "down", number: true, class: "middle" },
  { by: "up", number: true, class: "wide" },
  { by: "age", number: true, class: "middle" },
] as const satisfies readonly { by: FlowSort["by"]; number?: true; class?: string }[];

export interface FlowTableProps {
  readonly shown: FlowWindow;
  readonly sort: FlowSort;
  readonly onSort: (sort: FlowSort) => void;
  readonly onOpen: (flow: FlowRow) => void;
  readonly onClose: (flow: FlowRow) => void;
  readonly empty: ReactNode;
}

/** Any number of flows, of which only those on the screen are there. Arrows move, Return opens, Delete closes. */
export function FlowTable({ shown, sort, onSort, onOpen, onClose, empty }: FlowTableProps) {
  const text = useText();
  const format = useFormat();
  const now = useNow();
  const body = useRef<HTMLDivElement>(null);
  const total = shown.total ?? 0;
  const { active, setActive, focus } = useFollowedFlow(shown, body);
  const virtual = useVirtualizer({
    count: total,
    getScrollElement: () => body.current,
    estimateSize: () => ROW_HEIGHT,
    overscan: 12,
  });
  const items = virtual.getVirtualItems();
  const [first, last] = [items[0]?.index ?? 0, items.at(-1)?.index ?? 0];
  useEffect(() => shown.show(first, last));

  const move = (index: number) => {
    const next = Math.max(0, Math.min(total - 1, index));
    setActive(next);
    virtual.scrollToIndex(next);
    // It may be made only now.
    requestAnimationFrame(() => body.current?.querySelector<HTMLElement>(`[data-index="${next}"]`)?.focus());
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const page = Math.floor((body.current?.clientHeight ?? 0) / ROW_HEIGHT);
    const target = {
      ArrowDown: active + 1,
      ArrowUp: active - 1,
      PageDown: active + page,
      PageUp: active - page,
      Home: 0,
      End: total - 1,
    }[event.key];
    const flow = shown.row(active);
    if (target !== undefined) move(target);
    else if (
      event.key === "Enter" &&
      flow &&
      event.target instanceof HTMLElement &&
      event.target.role === "row"
    ) {
      onOpen(flow);
    } else if (event.key === "Delete" && flow && flow.state !== "ended") onClose(flow);
    else return;
    event.preventDefault();
  };

  const onClick = ({ target }: MouseEvent) => {
    const flow = shown.row(indexOf(target) ?? -1);
    if (!flow) return;
    if (target instanceof Element && target.closest("[data-closes]")) onClose(flow);
    else onOpen(flow);
  };

  return (
    <div
      className={styles["table"]}
      role="table"
      aria-label={text.connections.title}
      aria-rowcount={shown.total === undefined ? -1 : total + 1}
    >
      <div role="rowgroup">
        <div role="row" aria-rowindex={1} className={styles["head"]}>
          {columns.map((column) => (
            <ColumnHead key={column.by} column={column} sort={sort} onSort={onSort} text={text} />
          ))}
          <span role="columnheader">
            <span className="visually-hidden">{text.common.close}</span>
          </span>
        </div>
      </div>
      {shown.total === 0 ? (
        empty
      ) : (
        <div
          ref={body}
          role="rowgroup"
          className={styles["body"]}
          onKeyDown={onKeyDown}
          onClick={onClick}
          {...focus}
        >
          <div className={styles["space"]} style={{ height: virtual.getTotalSize() }}>
            {items.map(({ index }) => (
              <Row
                key={index}
                index={index}
                flow={shown.row(index)}
                active={index === active}
                age={ageOf(shown.row(index), now, format)}
                format={format}
                text={text}
              />
            ))}
          </div>
        </div>
      )}
    </div>
  );
}

function indexOf(target: EventTarget): number | undefined {
  const index = target instanceof Element ? target.closest("[data-index]")?.getAttribute("data-index") : null;
  return index == null ? undefined : Number(index);
}

function ageOf(flow: FlowRow | undefined, now: number, format: Format): string {
  return flow ? format.duration((flow.endedAt ?? now) - flow.startedAt) : "";
}

/** The row that has the focus. It follows its flow as the order changes: a key is never meant for another that came in its place. */
function useFollowedFlow(shown: FlowWindow, body: RefObject<HTMLElement | null>) {
  const [wanted, setWanted] = useState<{ readonly index: number; readonly id: number | undefined }>({
    index: 0,
    id: undefined,
  });
  const focused = useRef(false);
  const followed = wanted.id === undefined ? undefined : shown.place(wanted.id);
  const active = Math.max(0, Math.min(followed ?? wanted.index, (shown.total ?? 0) - 1));
  const id = shown.row(active)?.id;
  useEffect(() => {
    if (active !== wanted.index || id !== wanted.id) setWanted({ index: active, id });
    const now = document.activeElement;
    const within = now === document.body || body.current?.contains(now) === true;
    const row = body.current?.querySelector<HTMLElement>(`[data-index="${active}"]`);
    if (focused.current && within && row && !row.contains(now)) row.focus({ preventScroll: true });
  }, [active, id, wanted, body]);
  return {
    active,
    setActive: (index: number) => setWanted({ index, id: shown.row(index)?.id }),
    focus: {
      onFocus: ({ target }: FocusEvent) => {
        focused.current = true;
        const index = indexOf(target);
        if (index !== undefined) setWanted({ index, id: shown.row(index)?.id });
      },
      // A dialog gives the focus back while React listens to nothing; whoever presses a key here has it.
      onKeyDownCapture: () => {
        focused.current = true;
      },
      onBlur: ({ currentTarget, target, relatedTarget }: FocusEvent) => {
        if (currentTarget.contains(relatedTarget)) return;
        // A row that goes away takes the focus with it, and hears of it while it is still there: the next one has it then.
        requestAnimationFrame(() => {
          if (target.isConnected && !currentTarget.contains(document.activeElement)) focused.current = false;
        });
      },
    },
  };
}

function ColumnHead({
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
const Row = memo(function Row({ index, flow, active, age, format, text }: RowProps) {
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
      <span role="cell" className={classes.target} title={error ? `${target}: ${error.message}` : target}>
        <StateMark state={markOf(flow)} size={8} />
        <span className="visually-hidden">{text.connections.states[flow.state]}</span>
        <span>{target}</span>
      </span>
      <span role="cell" className={classes.process} title={process && `${process.name} (${process.pid})`}>
        {process?.name ?? "–"}
      </span>
      <span role="cell">{upstream === "direct" ? text.common.direct : upstream}</span>
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
