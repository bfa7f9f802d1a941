import type { RequestDetail, RequestRow } from "@sockeye/engine/control/contract";
import { ArrowLeft, Eye, EyeOff, RotateCw } from "lucide-react";
import { useEffect, useState } from "react";
import { call } from "../../engine/engine.ts";
import { useFormat, useText } from "../../i18n/text.ts";
import { announce } from "../../ui/announce.tsx";
import { Button, IconButton } from "../../ui/button.tsx";
import { Notice } from "../../ui/surface.tsx";
import { toast, toastFailure } from "../../ui/toast.tsx";
import styles from "./inspector.module.css";
import { Message } from "./message.tsx";
import { Status } from "./status.tsx";

export interface RequestDetailsProps {
  readonly share: string;
  readonly id: number;
  /** As the list has it; its changes are a reason to look again. */
  readonly row: RequestRow | undefined;
  readonly onBack: () => void;
  readonly onReplayed: (id: number) => void;
}

/** What passed, both ways. Of a request that repeats another, both answers, side by side. */
export function RequestDetails({ share, id, row, onBack, onReplayed }: RequestDetailsProps) {
  const text = useText();
  const words = text.share.inspector;
  const [reveal, setReveal] = useState(false);
  const [sending, setSending] = useState(false);
  const detail = useDetail(share, id, reveal, row);
  const original = useDetail(share, detail === "gone" ? undefined : detail?.replayOf, reveal, undefined);
  if (detail === undefined) return null;
  if (detail === "gone") return <Notice>{words.gone}</Notice>;
  const replay = async () => {
    setSending(true);
    try {
      const { request } = await call("share.replay", { share, request: id });
      toast({ message: words.sentAgain });
      announce(words.sentAgain);
      onReplayed(request);
    } catch (error) {
      toastFailure(error);
    } finally {
      setSending(false);
    }
  };
  const hasSecrets = [...detail.request.headers, ...(detail.response?.headers ?? [])].some(
    ({ secret }) => secret === true,
  );
  return (
    <article className={styles["detail"]} aria-label={`${detail.method} ${detail.target}`}>
      <header className={styles["detailHead"]}>
        <span className={styles["back"]}>
          <IconButton label={text.share.showRequests} icon={<ArrowLeft size={16} />} onClick={onBack} />
        </span>
        <h2>
          <Status row={detail} />
          <span>
            <span className={styles["method"]}>{detail.method}</span> {detail.target}
          </span>
        </h2>
        <div className={styles["acts"]}>
          {hasSecrets && (
            <Button
              kind="quiet"
              icon={reveal ? <EyeOff size={15} /> : <Eye size={15} />}
              aria-pressed={reveal}
              onClick={() => setReveal(!reveal)}
            >
              {reveal ? words.conceal : words.reveal}
            </Button>
          )}
          <Button
            kind="primary"
            icon={<RotateCw size={15} />}
            busy={sending}
            disabled={detail.noReplay !== undefined}
            onClick={() => void replay()}
          >
            {words.again}
          </Button>
        </div>
      </header>
      <div className={styles["detailBody"]}>
        <Facts detail={detail} />
        {detail.failure !== undefined && <Notice kind="bad">{detail.failure}</Notice>}
        {detail.upgrade !== undefined && <Notice>{words.upgrade(detail.upgrade)}</Notice>}
        {detail.noReplay !== undefined && detail.state !== "open" && (
          <Notice>{words.noReplay(detail.noReplay)}</Notice>
        )}
        {detail.replayOf !== undefined && (
          <div className={styles["answers"]}>
            {original === "gone" ? (
              <Notice>{words.originalGone}</Notice>
            ) : (
              original && <Answer title={words.answerBefore} detail={original} withStatus />
            )}
            <Answer title={words.answerNow} detail={detail} withStatus />
          </div>
        )}
        <Message title={words.sections.request} message={detail.request} />
        {detail.replayOf === undefined && <Answer title={words.sections.response} detail={detail} />}
      </div>
    </article>
  );
}

function Facts({ detail }: { readonly detail: RequestDetail }) {
  const words = useText().share.inspector;
  const format = useFormat();
  const { remote, startedAt, firstByteMs, totalMs, requestBytes, responseBytes, replayOf } = detail;
  const facts: [string, string][] = [
    [words.from, remote === "" ? "–" : remote],
    [words.at, format.time(startedAt)],
    [words.firstByte, firstByteMs === undefined ? "–" : format.latency(firstByteMs)],
    [words.total, totalMs === undefined ? "–" : format.latency(totalMs)],
    [words.size, `${format.bytes(requestBytes)}, ${format.bytes(responseBytes)}`],
  ];
  return (
    <>
      <dl className={`${styles["facts"]} figures`}>
        {facts.map(([term, fact]) => (
          <div key={term}>
            <dt>{term}</dt>
            <dd>{fact}</dd>
          </div>
        ))}
      </dl>
      {replayOf !== undefined && <p className={styles["soft"]}>{words.replayOf(replayOf)}</p>}
    </>
  );
}

function Answer({
  title,
  detail,
  withStatus,
}: {
  readonly title: string;
  readonly detail: RequestDetail;
  readonly withStatus?: boolean;
}) {
  const words = useText().share.inspector;
  const format = useFormat();
  const about =
    withStatus === true ? (
      <>
        <Status row={detail} />
        {detail.totalMs !== undefined && (
          <span className={`${styles["soft"]} figures`}>{format.latency(detail.totalMs)}</span>
        )}
      </>
    ) : undefined;
  if (detail.response === undefined)
    return (
      <section className={styles["message"]}>
        <h3>
          {title} {about}
        </h3>
        <p className={styles["soft"]}>{detail.state === "open" ? words.open : words.noAnswer}</p>
      </section>
    );
  return <Message title={title} message={detail.response} about={about} />;
}

/** Undefined while it comes, or where no request is asked for. */
function useDetail(
  share: string,
  id: number | undefined,
  reveal: boolean,
  row: RequestRow | undefined,
): RequestDetail | "gone" | undefined {
  const [detail, setDetail] = useState<RequestDetail | "gone">();
  const state = `${row?.state} ${row?.status} ${row?.responseBytes}`;
  useEffect(() => {
    if (id === undefined) return undefined;
    let gone = false;
    call("share.request", { share, request: id, reveal }).then(
      (answer) => {
        if (!gone) setDetail(answer);
      },
      () => {
        if (!gone) setDetail("gone");
      },
    );
    return () => {
      gone = true;
    };
    // `state` stands for the row: what it says of the request has changed.
  }, [share, id, reveal, state]);
  return detail;
}
