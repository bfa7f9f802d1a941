import { EllipsisVertical, Star } from "lucide-react";
import { useEngine } from "../../engine/engine.ts";
import { useFormat, useText } from "../../i18n/text.ts";
import { Badge } from "../../ui/badge.tsx";
import { MenuButton } from "../../ui/menu.tsx";
import { Card } from "../../ui/surface.tsx";
import { makeDefault } from "./make-default.ts";
import styles from "./upstreams.module.css";

/** The way without an upstream: always there, and nothing of it can be changed. */
export function DirectRow() {
  const text = useText();
  const words = text.upstreams;
  const format = useFormat();
  const isDefault = useEngine((state) => state.status?.default === "direct");
  const direct = useEngine((state) => state.upstreams.find(({ type }) => type === "direct"));
  const active = direct?.pool.active ?? 0;
  return (
    <Card bare>
      <div className={styles["direct"]}>
        <div className={styles["identity"]}>
          <div className={styles["name"]}>
            <strong>{words.direct}</strong>
            {isDefault && (
              <Badge kind="accent" title={words.defaultWhy}>
                {words.default}
              </Badge>
            )}
          </div>
          <div className={styles["address"]}>{words.directWhy}</div>
        </div>
        <span className={`${styles["quiet"]} figures`}>
          {active > 0 ? words.active(active) : ""}
          {direct?.latencyMs === undefined ? "" : ` ${format.latency(direct.latencyMs)}`}
        </span>
        <MenuButton
          label={words.menuOf(words.direct)}
          icon={<EllipsisVertical size={16} />}
          items={[
            {
              label: words.makeDefault,
              icon: <Star size={15} />,
              disabled: isDefault,
              onSelect: () => void makeDefault("direct", text),
            },
          ]}
        />
      </div>
    </Card>
  );
}
