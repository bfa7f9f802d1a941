import type { FlowRow, FlowSort } from "@sockeye/engine/control/contract";
import { useState } from "react";
import { useStream } from "../../engine/engine.ts";
import { nextOffset, WINDOW_ROWS } from "./flow-rows.ts";

export interface FlowQuery {
  readonly text: string;
  /** Empty for every one. */
  readonly upstream: string;
  readonly ended: boolean;
  readonly sort: FlowSort;
}

export interface FlowWindow {
  /** Undefined before the first answer. */
  readonly total: number | undefined;
  /** The row at a place of the whole table; undefined where it is not loaded. */
  row(index: number): FlowRow | undefined;
  /** Where a flow stands in the whole table; undefined where it is not loaded. */
  place(id: number): number | undefined;
  readonly rows: readonly FlowRow[];
  /** Says which rows are on the screen, so that the window follows. */
  show(first: number, last: number): void;
}

/** The part of the table of flows around what is on the screen, kept up to date by the engine. */
export function useFlowWindow({ text, upstream, ended, sort }: FlowQuery): FlowWindow {
  const [offset, setOffset] = useState(0);
  const [shown, setShown] = useState<{ rows: readonly FlowRow[]; offset: number; total: number }>();
  useStream(
    "flows.view",
    {
      ...(text === "" ? {} : { text }),
      ...(upstream === "" ? {} : { upstream }),
      ended,
      sort,
      offset,
      limit: WINDOW_ROWS,
    },
    setShown,
  );
  return {
    total: shown?.total,
    rows: shown?.rows ?? [],
    row: (index) => shown?.rows[index - shown.offset],
    place(id) {
      const at = shown?.rows.findIndex((flow) => flow.id === id) ?? -1;
      return shown && at !== -1 ? shown.offset + at : undefined;
    },
    show(first, last) {
      const wanted = nextOffset(offset, first, last);
      if (wanted !== offset) setOffset(wanted);
    },
  };
}
