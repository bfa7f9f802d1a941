import type { RequestRow, ShareInfo, StreamEvent } from "@sockeye/engine/control/contract";
import { ArrowLeft, EyeOff, Inbox, SearchX } from "lucide-react";
import { type KeyboardEvent, useDeferredValue, useState } from "react";
import { call, useStream } from "../../engine/engine.ts";
import { useFormat, useText } from "../../i18n/text.ts";
import { Button } from "../../ui/button.tsx";
import { Confirm } from "../../ui/confirm.tsx";
import { SearchInput } from "../../ui/field.tsx";
import { StateMark } from "../../ui/state-mark.tsx";
import { Empty, Page } from "../../ui/surface.tsx";
import { toastFailure } from "../../ui/toast.tsx";
import styles from "./inspector.module.css";
import { goShares, linkToShares } from "./place.ts";
import { RequestDetails } from "./request-details.tsx";
import { markOf } from "./shares.ts";
import { Status } from "./status.tsx";

/** As many as are ever kept. */
const ROWS = 200;

export interface InspectorProps {
  readonly name: string;
  /** The one that is looked at. */
  readonly request: number | undefined;
  /** Undefined while the shares are not known, or where there is none of this name. */
  readonly share: ShareInfo | undefined;
  readonly known: boolean;
}

/** The requests of one share: the list at the left, what passed at the right. */
export function Inspector({ name, request, share, known }: InspectorProps) {
  const text = useText();
  const words = text.share.inspector;
  const format = useFormat();
  const [search, setSearch] = useState("");
  const [shown, setShown] = useState<StreamEvent<"share.requests">>();
  const [clearing, setClearing] = useState(false);
  const wanted = useDeferredValue(search);
  useStream(
    "share.requests",
    { share: name, offset: 0, limit: ROWS, ...(wanted !== "" && { text: wanted }) },
    setShown,
  );
  const open = (id: number | undefined) => goShares({ kind: "requests", name, request: id });
  const clear = async () => {
    setClearing(false);
    open(undefined);
    await call("share.clear", { share: name }).catch(toastFailure);
  };
  const rows = shown?.rows ?? [];
  return (
    <Page
      layout="filled"
      title={
        <span className={styles["title"]}>
          <a href={linkToShares({ kind: "list" })} aria-label={words.back} title={words.back}>
            <ArrowLeft size={18} aria-hidden="true" />
          </a>
          {text.share.showRequestsOf(name)}
        </span>
      }
      subtitle={share && <Subtitle share={share} />}
      actions={
        <Button disabled={rows.length === 0} onClick={() => setClearing(true)}>
          {words.clear}
        </Button>
      }
    >
      <div className={styles["split"]} data-open={request !== undefined || undefined}>
        <div className={styles["left"]}>
          <div className={styles["toolbar"]}>
            <SearchInput
              label={words.search}
              value={search}
              maxLength={255}
              onChange={({ target }) => setSearch(target.value)}
            />
            {shown !== undefined && shown.total > 0 && (
              <span className="figures">{format.number(shown.total)}</span>
            )}
          </div>
          {rows.length > 0 ? (
            <RequestList rows={rows} current={request} onOpen={open} />
          ) : (
            shown !== undefined && <NoRequests share={share} known={known} filtered={wanted !== ""} />
          )}
        </div>
        <div className={styles["right"]}>
          {request === undefined ? (
            <p className={styles["choose"]}>{words.choose}</p>
          ) : (
            <RequestDetails
              key={request}
              share={name}
              id={request}
              row={rows.find(({ id }) => id === request)}
              onBack={() => open(undefined)}
              onReplayed={open}
            />
          )}
        </div>
      </div>
      {clearing && (
        <Confirm
          title={words.clearTitle}
          yes={words.clear}
          danger
          onNo={() => setClearing(false)}
          onYes={() => void clear()}
        >
          <p>{words.clearWhy}</p>
        </Confirm>
      )}
    </Page>
  );
}

function Subtitle({ share }: { readonly share: ShareInfo }) {
  const text = useText().share;
  return (
    <span className={styles["subtitle"]}>
      <StateMark state={markOf[share.state.state]} size={9} />
      {text.states[share.state.state]}
      <span>{share.addresses[0] ?? share.target}</span>
    </span>
  );
}

function NoRequests({
  share,
  known,
  filtered,
}: {
  readonly share: ShareInfo | undefined;
  readonly known: boolean;
  readonly filtered: boolean;
}) {
  const text = useText().share;
  const words = text.inspector;
  if (filtered) return <Empty icon={<SearchX />} title={words.nothingMatches} />;
  if (known && share === undefined) return <Empty icon={<SearchX />} title={text.editor.gone} />;
  if (share?.inspect === false)
    return (
      <Empty icon={<EyeOff />} title={words.off}>
        {words.offWhy}
      </Empty>
    );
  return (
    <Empty icon={<Inbox />} title={words.empty}>
      {words.emptyWhy}
    </Empty>
  );
}

/** Arrows, Home and End move between the rows, which are buttons; the one that is open is current. */
function RequestList({
  rows,
  current,
  onOpen,
}: {
  readonly rows: readonly RequestRow[];
  readonly current: number | undefined;
  readonly onOpen: (id: number) => void;
}) {
  const words = useText().share.inspector;
  const onKeyDown = (event: KeyboardEvent<HTMLUListElement>) => {
    const all = [...event.currentTarget.querySelectorAll("button")];
    const at = all.indexOf(document.activeElement as HTMLButtonElement);
    const target = {
      ArrowDown: all[Math.min(at + 1, all.length - 1)],
      ArrowUp: all[Math.max(at - 1, 0)],
      Home: all[0],
      End: all.at(-1),
    }[event.key];
    if (target === undefined) return;
    event.preventDefault();
    target.focus();
  };
  const inOrder = rows.some(({ id }) => id === current) ? current : rows[0]?.id;
  return (
    <ul className={styles["list"]} aria-label={words.list} onKeyDown={onKeyDown}>
      {rows.map((row) => (
        <li key={row.id}>
          <button
            type="button"
            tabIndex={row.id === inOrder ? 0 : -1}
            className={styles["request"]}
            aria-current={row.id === current || undefined}
            onClick={() => onOpen(row.id)}
          >
            <Line row={row} />
          </button>
        </li>
      ))}
    </ul>
  );
}

function Line({ row }: { readonly row: RequestRow }) {
  const words = useText().share.inspector;
  const format = useFormat();
  const { method, target, startedAt, totalMs, replayOf, responseBytes } = row;
  return (
    <>
      <Status row={row} />
      <span className={styles["what"]}>
        <span className={styles["method"]}>{method}</span> <span className={styles["path"]}>{target}</span>
      </span>
      <span className={`${styles["about"]} figures`}>
        <span>{format.time(startedAt)}</span>
        {totalMs !== undefined && <span>{format.latency(totalMs)}</span>}
        <span>{format.bytes(responseBytes)}</span>
        {replayOf !== undefined && <span title={words.replayOf(replayOf)}>↻ {replayOf}</span>}
      </span>
    </>
  );
}
