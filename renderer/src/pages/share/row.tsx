import type { ShareInfo } from "@sockeye/engine/control/contract";
import {
  Copy,
  EllipsisVertical,
  ExternalLink,
  ListTree,
  Pencil,
  QrCode,
  Trash2,
  TriangleAlert,
} from "lucide-react";
import { useState } from "react";
import { copyText } from "../../desktop/shell.ts";
import { call } from "../../engine/engine.ts";
import { useNow } from "../../engine/now.ts";
import { useFormat, useText } from "../../i18n/text.ts";
import { Badge } from "../../ui/badge.tsx";
import { Button, IconButton } from "../../ui/button.tsx";
import { type MenuItem, MenuButton } from "../../ui/menu.tsx";
import { StateMark } from "../../ui/state-mark.tsx";
import { Switch } from "../../ui/switch.tsx";
import { toast, toastFailure } from "../../ui/toast.tsx";
import { goShares, linkToShares } from "./place.ts";
import { markOf } from "./shares.ts";
import styles from "./share.module.css";

export interface ShareRowProps {
  readonly share: ShareInfo;
  readonly onQr: (name: string) => void;
  readonly onDelete: (name: string) => void;
}

export function ShareRow({ share, onQr, onDelete }: ShareRowProps) {
  const text = useText().share;
  const [switching, setSwitching] = useState(false);
  const { name, kind, target, relay, state, enabled } = share;
  const switchTo = async (on: boolean) => {
    setSwitching(true);
    try {
      await call(on ? "share.start" : "share.stop", { share: name });
    } catch (error) {
      toastFailure(error);
    } finally {
      setSwitching(false);
    }
  };
  const items: MenuItem[] = [
    { label: text.edit, icon: <Pencil size={15} />, onSelect: () => goShares({ kind: "edit", name }) },
    ...(kind === "http"
      ? [
          {
            label: text.showRequests,
            icon: <ListTree size={15} />,
            onSelect: () => goShares({ kind: "requests", name, request: undefined }),
          },
        ]
      : []),
    {
      label: text.showQr,
      icon: <QrCode size={15} />,
      disabled: share.addresses.length === 0,
      onSelect: () => onQr(name),
    },
    "separator",
    { label: text.remove, icon: <Trash2 size={15} />, danger: true, onSelect: () => onDelete(name) },
  ];
  return (
    <li className={styles["row"]}>
      <div className={styles["line"]}>
        <Switch
          checked={enabled}
          disabled={switching}
          label={text.switchOne(name)}
          onChange={(on) => void switchTo(on)}
        />
        <div className={styles["identity"]}>
          <div className={styles["name"]}>
            <a href={linkToShares({ kind: "edit", name })}>{name}</a>
            <Badge>{text.kinds[kind]}</Badge>
            <Guards share={share} />
          </div>
          <div className={styles["target"]}>
            {target}
            <span>{text.via(relay)}</span>
          </div>
        </div>
        <Address share={share} onQr={onQr} />
        <Traffic share={share} />
        <div className={styles["state"]}>
          <StateMark state={markOf[state.state]} />
          {text.states[state.state]}
        </div>
        <div className={styles["actions"]}>
          <MenuButton label={text.menuOf(name)} icon={<EllipsisVertical size={16} />} items={items} />
        </div>
      </div>
      <Trouble share={share} onRetry={() => void switchTo(true)} />
    </li>
  );
}

function Guards({ share: { guard, offlinePage } }: { readonly share: ShareInfo }) {
  const text = useText().share;
  return (
    <>
      {guard.basicAuth && (
        <Badge kind="accent" title={text.passwordWhy}>
          {text.password}
        </Badge>
      )}
      {guard.allow.length > 0 && (
        <Badge kind="accent" title={`${text.networksWhy}: ${guard.allow.join(", ")}`}>
          {text.networks(guard.allow.length)}
        </Badge>
      )}
      {offlinePage && <Badge title={text.ownPageWhy}>{text.ownPage}</Badge>}
    </>
  );
}

function Address({ share, onQr }: { readonly share: ShareInfo; readonly onQr: (name: string) => void }) {
  const text = useText().share;
  const [best, ...others] = share.addresses;
  if (best === undefined) return <div className={styles["address"]} />;
  const copy = () => {
    copyText(best).then(() => toast({ message: text.copied }), toastFailure);
  };
  const isLink = /^https?:\/\//.test(best);
  return (
    <div className={styles["address"]}>
      {isLink ? (
        <a href={best} target="_blank" rel="noreferrer" title={text.openOne(best)}>
          <span>{best.replace(/^https?:\/\//, "")}</span>
          <ExternalLink size={12} aria-hidden="true" />
        </a>
      ) : (
        <span className={styles["plain"]}>{best}</span>
      )}
      <IconButton label={text.copyOne(best)} icon={<Copy size={14} />} onClick={copy} />
      <IconButton
        label={text.qrOne(share.name)}
        icon={<QrCode size={14} />}
        onClick={() => onQr(share.name)}
      />
      {others.length > 0 && (
        <small title={others.join("\n")} className={styles["also"]}>
          {text.also(others.length)}
        </small>
      )}
    </div>
  );
}

function Traffic({ share: { name, kind, traffic } }: { readonly share: ShareInfo }) {
  const text = useText().share;
  const format = useFormat();
  const { requests, connections, bytesIn, bytesOut } = traffic;
  const count =
    requests === undefined
      ? text.connections(connections, format.number(connections))
      : text.requests(requests, format.number(requests));
  return (
    <div className={`${styles["traffic"]} figures`}>
      {kind === "http" && requests !== undefined ? (
        <a
          href={linkToShares({ kind: "requests", name, request: undefined })}
          aria-label={`${count}: ${text.showRequestsOf(name)}`}
        >
          {count}
        </a>
      ) : (
        <span>{count}</span>
      )}
      <small>
        <span title={text.in}>↓ {format.bytes(bytesIn)}</span>{" "}
        <span title={text.out}>↑ {format.bytes(bytesOut)}</span>
      </small>
    </div>
  );
}

function Trouble({ share, onRetry }: { readonly share: ShareInfo; readonly onRetry: () => void }) {
  const text = useText().share;
  const format = useFormat();
  const now = useNow();
  const { state, target } = share;
  const sentence = () => {
    switch (state.state) {
      case "target-down":
        return text.targetDown(target, state.reason);
      case "reconnecting": {
        const left = state.retryAt - now;
        return left > 1000
          ? text.reconnecting(state.reason, format.duration(left))
          : text.reconnectingNow(state.reason);
      }
      case "refused":
        return text.refused(state.reason);
      case "stopped":
      case "connecting":
      case "live":
        return undefined;
    }
  };
  const words = sentence();
  if (words === undefined) return null;
  return (
    <div className={styles["trouble"]} data-kind={state.state}>
      <TriangleAlert size={14} aria-hidden="true" />
      <p>{words}</p>
      {state.state === "refused" && (
        <Button kind="quiet" onClick={onRetry}>
          {text.tryAgain}
        </Button>
      )}
    </div>
  );
}
