import type { UpstreamInfo } from "@sockeye/engine/control/contract";
import {
  ArrowDown,
  ArrowUp,
  Copy,
  EllipsisVertical,
  GripVertical,
  Link,
  Pencil,
  Star,
  Trash2,
  TriangleAlert,
  X,
} from "lucide-react";
import { copyText } from "../../desktop/shell.ts";
import { call, useEngine } from "../../engine/engine.ts";
import { useNow } from "../../engine/now.ts";
import { useTestRun } from "../../engine/test-run.ts";
import { failureText } from "../../i18n/failure.ts";
import { useFormat, useText } from "../../i18n/text.ts";
import { Badge } from "../../ui/badge.tsx";
import { Button, IconButton } from "../../ui/button.tsx";
import { type MenuItem, MenuButton } from "../../ui/menu.tsx";
import type { RowOrder } from "../../ui/row-order.ts";
import { type MarkState, StateMark } from "../../ui/state-mark.tsx";
import { toast, toastFailure } from "../../ui/toast.tsx";
import { makeDefault } from "./make-default.ts";
import { goUpstreams, linkToUpstreams } from "./place.ts";
import { TestResult } from "./test-result.tsx";
import orderStyles from "../../ui/row-order.module.css";
import styles from "./upstreams.module.css";

const markOf: Readonly<Record<UpstreamInfo["state"], MarkState>> = {
  idle: "off",
  connecting: "connecting",
  connected: "connected",
  failing: "trouble",
};

export interface RowProps {
  readonly upstream: UpstreamInfo;
  readonly index: number;
  readonly count: number;
  readonly order: RowOrder;
  readonly onMove: (from: number, to: number) => void;
  readonly onDelete: (name: string) => void;
}

export function UpstreamRow({ upstream, index, count, order, onMove, onDelete }: RowProps) {
  const text = useText();
  const words = text.upstreams;
  const format = useFormat();
  const test = useTestRun();
  const isDefault = useEngine((state) => state.status?.default === upstream.name);
  const upstreams = useEngine((state) => state.upstreams);
  const { name, type, address, state, pool, latencyMs } = upstream;
  const testing = test.run?.state === "running";
  const chain = chainOf(upstream, upstreams);
  const items: MenuItem[] = [
    { label: words.edit, icon: <Pencil size={15} />, onSelect: () => goUpstreams({ kind: "edit", name }) },
    {
      label: words.duplicate,
      icon: <Copy size={15} />,
      onSelect: () => goUpstreams({ kind: "duplicate", of: name }),
    },
    {
      label: words.makeDefault,
      icon: <Star size={15} />,
      disabled: isDefault,
      onSelect: () => void makeDefault(name, text),
    },
    {
      label: words.copyLink,
      icon: <Link size={15} />,
      onSelect: () => void copyLink(name, words.linkCopied),
    },
    "separator",
    {
      label: words.moveUp,
      icon: <ArrowUp size={15} />,
      disabled: index === 0,
      onSelect: () => onMove(index, index - 1),
    },
    {
      label: words.moveDown,
      icon: <ArrowDown size={15} />,
      disabled: index === count - 1,
      onSelect: () => onMove(index, index + 1),
    },
    "separator",
    { label: words.remove, icon: <Trash2 size={15} />, danger: true, onSelect: () => onDelete(name) },
  ];
  return (
    <li {...order.row(index)} className={`${styles["row"]} ${orderStyles["row"]}`}>
      <div className={styles["line"]}>
        <span {...order.handle(index)} className={styles["grip"]} title={words.drag} aria-hidden="true">
          <GripVertical size={15} />
        </span>
        <div className={styles["identity"]}>
          <div className={styles["name"]}>
            <a href={linkToUpstreams({ kind: "edit", name })}>{name}</a>
            <Badge>{words.types[type]}</Badge>
            {isDefault && (
              <Badge kind="accent" title={words.defaultWhy}>
                {words.default}
              </Badge>
            )}
          </div>
          <div className={styles["address"]}>
            {address}
            {chain.length > 0 && <span>{words.through(chain.join(" → "))}</span>}
          </div>
        </div>
        <div className={styles["state"]}>
          <StateMark state={markOf[state]} />
          {words.states[state]}
        </div>
        <dl className={`${styles["numbers"]} figures`}>
          <dt className="visually-hidden">{words.latency}</dt>
          <dd>{latencyMs === undefined ? "–" : format.latency(latencyMs)}</dd>
          <dt className="visually-hidden">{words.pool}</dt>
          <dd>
            {words.ready(format.number(pool.ready), format.number(pool.size))}
            <small>{pool.active > 0 ? words.active(pool.active) : ""}</small>
          </dd>
        </dl>
        <div className={styles["actions"]}>
          <Button
            aria-label={testing ? words.stopOne(name) : words.testOne(name)}
            onClick={() => (testing ? test.cancel() : test.start({ name }))}
          >
            {testing ? words.editor.stop : words.editor.test}
          </Button>
          <MenuButton label={words.menuOf(name)} icon={<EllipsisVertical size={16} />} items={items} />
        </div>
      </div>
      {state === "failing" && upstream.lastError && !test.run && <LastError error={upstream.lastError} />}
      {test.run && (
        <div className={styles["test"]}>
          <TestResult run={test.run} />
          {!testing && <IconButton label={text.common.close} icon={<X size={15} />} onClick={test.clear} />}
        </div>
      )}
    </li>
  );
}

function LastError({ error }: { readonly error: NonNullable<UpstreamInfo["lastError"]> }) {
  const text = useText();
  const format = useFormat();
  const now = useNow();
  return (
    <p className={styles["error"]}>
      <TriangleAlert size={14} aria-hidden="true" />
      <span>
        {failureText(text, error)} <small>{text.upstreams.ago(format.duration(now - error.at))}</small>
      </span>
    </p>
  );
}

/** What it is reached through, nearest to us first. */
function chainOf(upstream: UpstreamInfo, upstreams: readonly UpstreamInfo[]): string[] {
  const chain: string[] = [];
  for (let via = upstream.via; via !== undefined && !chain.includes(via);) {
    chain.unshift(via);
    const name: string = via;
    via = upstreams.find((one) => one.name === name)?.via;
  }
  return chain;
}

async function copyLink(name: string, done: string): Promise<void> {
  try {
    const { links } = await call("export", { upstreams: [name] });
    const link = links.find((one) => one.name === name)?.link;
    if (link === undefined) return;
    await copyText(link);
    toast({ message: done });
  } catch (error) {
    toastFailure(error);
  }
}
