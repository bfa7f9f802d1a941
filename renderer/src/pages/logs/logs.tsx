import { Copy, FileText, Pause, Play, ScrollText, SearchX } from "lucide-react";
import { useDeferredValue, useMemo, useState } from "react";
import { copyText } from "../../desktop/shell.ts";
import { call, useEngine, useStream } from "../../engine/engine.ts";
import { useText } from "../../i18n/text.ts";
import { Button } from "../../ui/button.tsx";
import { SearchInput, Select } from "../../ui/field.tsx";
import { Empty, Page } from "../../ui/surface.tsx";
import { toast, toastFailure } from "../../ui/toast.tsx";
import { LogList } from "./log-list.tsx";
import { type Line, matching, plainText, withEvent } from "./log-lines.ts";
import styles from "./logs.module.css";
import { ProblemReport } from "./problem-report.tsx";

const levels = ["trace", "debug", "info", "warn", "error"] as const;
type Level = (typeof levels)[number];

export function LogsPage() {
  const text = useText();
  const engineLevel = useEngine((state) => state.status?.logLevel ?? "info");
  const [level, setLevel] = useState<Level>("info");
  const [search, setSearch] = useState("");
  const [lines, setLines] = useState<readonly Line[]>();
  /** The lines as they were when it was paused. */
  const [frozen, setFrozen] = useState<readonly Line[]>();
  const [reporting, setReporting] = useState(false);
  useStream("logs", { level, backlog: 2_000 }, (event, first) => {
    setLines((known = []) => withEvent(known, event, first));
  });
  const wanted = useDeferredValue(search);
  const shown = useMemo(() => matching(frozen ?? lines ?? [], wanted), [frozen, lines, wanted]);
  const quieter = levels.indexOf(level) < rank(engineLevel);
  const since = frozen && lines ? lines.filter(({ id }) => id > (frozen.at(-1)?.id ?? 0)).length : 0;

  return (
    <Page
      layout="filled"
      title={text.logs.title}
      subtitle={text.logs.subtitle}
      actions={
        <Button icon={<FileText size={14} />} onClick={() => setReporting(true)}>
          {text.logs.report}
        </Button>
      }
    >
      <div className={styles["toolbar"]}>
        <SearchInput
          label={text.logs.search}
          value={search}
          maxLength={255}
          onChange={({ target }) => setSearch(target.value)}
        />
        <div className={styles["select"]}>
          <Select
            aria-label={text.logs.level}
            value={level}
            onChange={({ target }) => {
              setLines(undefined);
              setFrozen(undefined);
              setLevel(target.value as Level);
            }}
          >
            {levels.map((one) => (
              <option key={one} value={one}>
                {text.logs.levels[one]}
              </option>
            ))}
          </Select>
        </div>
        <Button
          icon={frozen ? <Play size={14} /> : <Pause size={14} />}
          aria-pressed={frozen !== undefined}
          onClick={() => setFrozen(frozen ? undefined : (lines ?? []))}
        >
          {frozen ? text.logs.resume : text.logs.pause}
        </Button>
        <Button
          icon={<Copy size={14} />}
          disabled={shown.length === 0}
          onClick={() => {
            copyText(plainText(shown)).then(
              () => toast({ message: text.logs.copied(shown.length) }),
              toastFailure,
            );
          }}
        >
          {text.logs.copy}
        </Button>
      </div>
      {(quieter || frozen) && (
        <div className={styles["note"]} role="status">
          {frozen ? (
            text.logs.paused(since)
          ) : (
            <>
              {engineLevel === "silent"
                ? text.logs.engineSilent
                : text.logs.engineLevel(text.logs.levels[engineLevel])}
              <Button kind="quiet" onClick={() => void call("log.level", { level }).catch(toastFailure)}>
                {text.logs.raise(text.logs.levels[level])}
              </Button>
            </>
          )}
        </div>
      )}
      <div className={styles["frame"]}>
        {lines !== undefined && shown.length === 0 ? (
          search === "" ? (
            <Empty icon={<ScrollText />} title={text.logs.empty}>
              {text.logs.emptyText}
            </Empty>
          ) : (
            <Empty icon={<SearchX />} title={text.logs.nothingMatches}>
              {text.logs.nothingMatchesText}
            </Empty>
          )
        ) : (
          <LogList lines={shown} />
        )}
      </div>
      {reporting && <ProblemReport onClose={() => setReporting(false)} />}
    </Page>
  );
}

function rank(level: string): number {
  const found = levels.findIndex((one) => one === level);
  return found === -1 ? levels.length : found;
}
