import type { UpstreamNumbers } from "@sockeye/engine/control/contract";
import { useEngine } from "../../engine/engine.ts";
import { useFormat, useText } from "../../i18n/text.ts";
import { Card } from "../../ui/surface.tsx";
import { type MarkState, StateMark } from "../../ui/state-mark.tsx";
import styles from "./metrics.module.css";

export interface NumbersTableProps {
  readonly chosen: string;
  readonly onChoose: (upstream: string) => void;
}

/** What each upstream has done since the engine started. */
export function NumbersTable({ chosen, onChoose }: NumbersTableProps) {
  const text = useText();
  const numbers = useEngine((state) => state.numbers);
  const { columns } = text.metrics;
  const heads = [
    columns.active,
    columns.connections,
    columns.dial,
    columns.errors,
    columns.reconnects,
    columns.down,
    columns.up,
  ];
  return (
    <Card bare>
      <div className={styles["scroll"]}>
        <table className={`${styles["table"]} figures`}>
          <caption className="visually-hidden">{text.metrics.now}</caption>
          <thead>
            <tr>
              <th scope="col">{columns.upstream}</th>
              {heads.map((head) => (
                <th key={head} scope="col">
                  {head}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {numbers.map((one) => (
              <Row key={one.upstream} numbers={one} chosen={one.upstream === chosen} onChoose={onChoose} />
            ))}
          </tbody>
        </table>
      </div>
    </Card>
  );
}

function Row({
  numbers,
  chosen,
  onChoose,
}: {
  readonly numbers: UpstreamNumbers;
  readonly chosen: boolean;
  readonly onChoose: (upstream: string) => void;
}) {
  const text = useText();
  const format = useFormat();
  const { upstream, active, connections, dials, dialSeconds, dialErrors, reconnects, down, up } = numbers;
  const errors = Object.values(dialErrors).reduce((sum, count) => sum + count, 0);
  const state = useEngine(({ upstreams }) => markOf(upstreams.find(({ name }) => name === upstream)?.state));
  return (
    <tr data-chosen={chosen || undefined} onClick={() => onChoose(upstream)}>
      <th scope="row">
        <button
          type="button"
          className={styles["name"]}
          aria-pressed={chosen}
          title={text.metrics.show(upstream)}
          onClick={() => onChoose(upstream)}
        >
          <StateMark state={upstream === "block" ? "blocked" : state} size={8} />
          <span>
            {upstream === "direct" ? text.common.direct : upstream === "block" ? text.common.block : upstream}
          </span>
        </button>
      </th>
      <td>{format.number(active)}</td>
      <td>{format.number(connections)}</td>
      <td>{dials === 0 ? "–" : format.latency((1000 * dialSeconds) / dials)}</td>
      <td className={errors > 0 && upstream !== "block" ? styles["bad"] : undefined}>
        {format.number(errors)}
      </td>
      <td>{format.number(reconnects)}</td>
      <td>{format.bytes(down)}</td>
      <td>{format.bytes(up)}</td>
    </tr>
  );
}

function markOf(state: "idle" | "connecting" | "connected" | "failing" | undefined): MarkState {
  switch (state) {
    case "connecting":
    case "connected":
      return state;
    case "failing":
      return "trouble";
    case "idle":
    case undefined:
      return "off";
  }
}
