import type { FlowRow, FlowSort } from "@sockeye/engine/control/contract";
import { useVirtualizer } from "@tanstack/react-virtual";
import { type KeyboardEvent, type MouseEvent, type ReactNode, useEffect, useRef } from "react";
import { useNow } from "../../engine/now.ts";
import { type Format, useFormat, useText } from "../../i18n/text.ts";
import { ColumnHead, columns } from "./columns.tsx";
import { Row, ROW_HEIGHT } from "./flow-row.tsx";
import type { FlowWindow } from "./flow-window.ts";
import { indexOf, useFollowedFlow } from "./followed-flow.ts";
import styles from "./connections.module.css";

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

function ageOf(flow: FlowRow | undefined, now: number, format: Format): string {
  return flow ? format.duration((flow.endedAt ?? now) - flow.startedAt) : "";
}
