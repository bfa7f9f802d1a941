import type { StreamEvent } from "@sockeye/engine/control/contract";
import { useVirtualizer } from "@tanstack/react-virtual";
import { ArrowDown, ArrowUp, ArrowUpToLine, Ellipsis, GripVertical, Pencil, Trash2 } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import { undo } from "../../engine/edit.ts";
import { useFormat, useText } from "../../i18n/text.ts";
import { MenuButton } from "../../ui/menu.tsx";
import { moved, useRowOrder } from "../../ui/row-order.ts";
import orderStyles from "../../ui/row-order.module.css";
import { Card, Notice } from "../../ui/surface.tsx";
import { toast, toastFailure } from "../../ui/toast.tsx";
import { AddRule, EditRule } from "./rule-form.tsx";
import { writeRules } from "./write-rules.ts";
import styles from "./routes.module.css";

const ROW_HEIGHT = 44;
/** With more, a change would not fit into one message to the engine. */
const MOST_EDITABLE = 5_000;

/** The rules with an order that was asked for shown at once, before the engine has applied it. */
function useAskedOrder(applied: StreamEvent<"routes">) {
  const [asked, setAsked] = useState<StreamEvent<"routes">["routes"]>();
  const last = useRef<Promise<unknown>>(Promise.resolve());
  useEffect(() => {
    const same = asked?.every(({ match, to }, index) => {
      const now = applied.routes[index];
      return now?.match === match && now.to === to;
    });
    if (same === true) setAsked(undefined);
  }, [applied, asked]);
  const reorder = async (rules: StreamEvent<"routes">["routes"]) => {
    setAsked(rules);
    // One after the other: each holds the whole list.
    const written = last.current.then(() => writeRules(rules));
    last.current = written.catch(() => undefined);
    try {
      await written;
    } catch (error) {
      setAsked(undefined);
      throw error;
    }
  };
  return { rules: asked ?? applied.routes, reorder };
}

export function Rules({ applied }: { readonly applied: StreamEvent<"routes"> }) {
  const text = useText();
  const format = useFormat();
  const { rules, reorder: ask } = useAskedOrder(applied);
  const list = useRef<HTMLDivElement>(null);
  const [said, setSaid] = useState("");
  const [changing, setChanging] = useState<number>();
  const editable = rules.length <= MOST_EDITABLE;
  const virtual = useVirtualizer({
    count: rules.length,
    getScrollElement: () => list.current,
    estimateSize: () => ROW_HEIGHT,
    overscan: 10,
  });

  const move = (from: number, to: number) => {
    const rule = rules[from];
    if (!rule || !editable) return;
    ask(moved(rules, from, to)).then(
      () => setSaid(text.routes.moved(rule.match, to + 1, rules.length)),
      toastFailure,
    );
    // The focus follows the rule, so that the next arrow moves it on.
    requestAnimationFrame(() => list.current?.querySelector<HTMLElement>(`[data-handle="${to}"]`)?.focus());
  };
  const order = useRowOrder(rules.length, move);
  const remove = (index: number) => {
    writeRules(rules.filter((_, at) => at !== index)).then(
      (written) =>
        toast({
          message: text.routes.removed(rules[index]?.match ?? ""),
          action: { label: text.common.undo, run: () => void undo(written).catch(toastFailure) },
        }),
      toastFailure,
    );
  };

  return (
    <Card bare>
      <div role="table" aria-label={text.routes.rules} aria-rowcount={rules.length + 2}>
        <div role="row" className={styles["head"]}>
          <span role="columnheader">
            <span className="visually-hidden">{text.routes.columns.order}</span>
          </span>
          <span role="columnheader" className={styles["number"]}>
            <span className="visually-hidden">{text.routes.columns.place}</span>
          </span>
          <span role="columnheader">{text.routes.columns.match}</span>
          <span role="columnheader">{text.routes.columns.to}</span>
          <span role="columnheader" className={styles["hits"]}>
            {text.routes.columns.hits}
          </span>
          <span role="columnheader">
            <span className="visually-hidden">{text.routes.columns.more}</span>
          </span>
        </div>
        <div ref={list} role="rowgroup" className={styles["list"]}>
          <div className={styles["space"]} style={{ height: virtual.getTotalSize() }}>
            {virtual.getVirtualItems().map(({ index, start }) => {
              const rule = rules[index];
              if (!rule) return null;
              return (
                <div
                  key={index}
                  role="row"
                  aria-rowindex={index + 2}
                  {...order.row(index)}
                  className={`${styles["rule"]} ${orderStyles["row"]}`}
                  style={{ transform: `translateY(${start}px)` }}
                >
                  <span role="cell">
                    <button
                      type="button"
                      data-handle={index}
                      className={styles["handle"]}
                      aria-label={text.routes.reorder(rule.match)}
                      disabled={!editable}
                      {...order.handle(index)}
                    >
                      <GripVertical size={14} aria-hidden="true" />
                    </button>
                  </span>
                  <span role="cell" className={`${styles["number"]} figures`}>
                    {index + 1}
                  </span>
                  <span role="cell" className={styles["match"]} title={rule.match}>
                    {rule.match}
                  </span>
                  <span role="cell" className={styles["to"]} title={rule.to}>
                    <Target to={rule.to} />
                  </span>
                  <span role="cell" className={`${styles["hits"]} figures`}>
                    {format.number(rule.hits)}
                  </span>
                  <span role="cell">
                    <MenuButton
                      label={text.routes.more(rule.match)}
                      icon={<Ellipsis size={16} />}
                      items={[
                        {
                          label: text.routes.edit,
                          icon: <Pencil size={14} />,
                          disabled: !editable,
                          onSelect: () => setChanging(index),
                        },
                        {
                          label: text.routes.first,
                          icon: <ArrowUpToLine size={14} />,
                          disabled: !editable || index === 0,
                          onSelect: () => move(index, 0),
                        },
                        {
                          label: text.routes.up,
                          icon: <ArrowUp size={14} />,
                          disabled: !editable || index === 0,
                          onSelect: () => move(index, index - 1),
                        },
                        {
                          label: text.routes.down,
                          icon: <ArrowDown size={14} />,
                          disabled: !editable || index === rules.length - 1,
                          onSelect: () => move(index, index + 1),
                        },
                        "separator",
                        {
                          label: text.routes.remove,
                          icon: <Trash2 size={14} />,
                          danger: true,
                          disabled: !editable,
                          onSelect: () => remove(index),
                        },
                      ]}
                    />
                  </span>
                </div>
              );
            })}
          </div>
        </div>
        <div role="row" className={`${styles["rule"]} ${styles["last"]}`}>
          <span role="cell" />
          <span role="cell" className={styles["number"]} />
          <span role="cell" className={styles["soft"]}>
            {rules.length === 0 ? text.routes.empty : text.routes.everythingElse}
          </span>
          <span role="cell" className={styles["to"]}>
            <Target to={applied.default.to} />
          </span>
          <span role="cell" className={`${styles["hits"]} figures`}>
            {format.number(applied.default.hits)}
          </span>
          <span role="cell" />
        </div>
      </div>
      {editable ? (
        <AddRule rules={rules} />
      ) : (
        <Notice kind="warn">{text.routes.tooMany(format.number(rules.length))}</Notice>
      )}
      <p className="visually-hidden" role="status">
        {said}
      </p>
      {changing !== undefined && rules[changing] && (
        <EditRule rules={rules} index={changing} onClose={() => setChanging(undefined)} />
      )}
    </Card>
  );
}

function Target({ to }: { readonly to: string }) {
  const text = useText();
  if (to === "direct") return <span className={styles["soft"]}>{text.common.direct}</span>;
  if (to === "block") return <span className={styles["soft"]}>{text.common.block}</span>;
  return <>{to}</>;
}
