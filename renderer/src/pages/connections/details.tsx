import type { FlowRow } from "@sockeye/engine/control/contract";
import { useEffect, useState } from "react";
import { failureText } from "../../i18n/failure.ts";
import { useFormat, useText } from "../../i18n/text.ts";
import { Button } from "../../ui/button.tsx";
import { Dialog } from "../../ui/dialog.tsx";
import { Notice } from "../../ui/surface.tsx";
import styles from "./connections.module.css";

export interface FlowDetailsProps {
  /** As it was when it was opened. */
  readonly known: FlowRow;
  /** As it is; absent where it has left the table. */
  readonly now: FlowRow | undefined;
  readonly onLeave: () => void;
  readonly onClose: (flow: FlowRow) => void;
}

export function FlowDetails({ known, now, onLeave, onClose }: FlowDetailsProps) {
  const text = useText();
  const format = useFormat();
  const [last, setLast] = useState(known);
  useEffect(() => {
    if (now) setLast(now);
  }, [now]);
  const flow = now ?? last;
  const { details, columns, states, defaultRule } = text.connections;
  const facts: [string, string][] = [
    [details.state, states[flow.state]],
    ...(flow.error ? ([[details.error, failureText(text, flow.error)]] as [string, string][]) : []),
    [columns.upstream, flow.upstream === "direct" ? text.common.direct : flow.upstream],
    [columns.rule, flow.rule === undefined ? defaultRule : details.rule(flow.rule + 1)],
    [details.kind, flow.kind.toUpperCase()],
    [details.inbound, flow.inbound.toUpperCase()],
    [details.source, flow.source],
    ...(flow.process
      ? ([[columns.process, `${flow.process.name} (${flow.process.pid})`]] as [string, string][])
      : []),
    [columns.down, `${format.bytes(flow.down)} · ${format.rate(flow.rateDown)}`],
    [columns.up, `${format.bytes(flow.up)} · ${format.rate(flow.rateUp)}`],
    [details.started, format.moment(flow.startedAt)],
    ...(flow.endedAt === undefined
      ? []
      : ([[details.ended, format.moment(flow.endedAt)]] as [string, string][])),
    [details.id, String(flow.id)],
  ];
  return (
    <Dialog
      shape="side"
      title={flow.target}
      onClose={onLeave}
      foot={
        flow.state !== "ended" &&
        now && (
          <Button kind="danger" onClick={() => onClose(flow)}>
            {details.close}
          </Button>
        )
      }
    >
      {!now && <Notice>{details.gone}</Notice>}
      <dl className={`${styles["facts"]} figures`}>
        {facts.map(([term, fact]) => (
          <div key={term} style={{ display: "contents" }}>
            <dt>{term}</dt>
            <dd>{fact}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}
