import type { ReactNode } from "react";
import { useEngine } from "../../engine/engine.ts";
import { useNow } from "../../engine/now.ts";
import { useFormat, useText } from "../../i18n/text.ts";
import styles from "./home.module.css";

/** Latency, uptime, open connections and totals, at a glance. */
export function Figures() {
  const text = useText();
  const format = useFormat();
  const now = useNow();
  const status = useEngine((state) => state.status);
  const upstream = useEngine((state) => state.upstreams.find(({ name }) => name === status?.default));
  if (!status) return null;
  const { connection, flows, bytes } = status;
  return (
    <dl className={`${styles["tiles"]} figures`}>
      <Tile term={text.home.latency}>
        {upstream?.latencyMs === undefined ? "–" : format.latency(upstream.latencyMs)}
      </Tile>
      <Tile term={text.home.uptime}>
        {connection.state === "off" ? "–" : format.duration(now - connection.since)}
      </Tile>
      <Tile term={text.home.active}>{format.number(flows.active)}</Tile>
      <Tile term={text.home.totals}>
        <span>
          {format.bytes(bytes.down)} <small>↓</small>
        </span>{" "}
        <span>
          {format.bytes(bytes.up)} <small>↑</small>
        </span>
      </Tile>
    </dl>
  );
}

function Tile({ term, children }: { readonly term: string; readonly children: ReactNode }) {
  return (
    <div className={styles["tile"]}>
      <dt>{term}</dt>
      <dd>{children}</dd>
    </div>
  );
}
