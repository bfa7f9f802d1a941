import type { CallResult, ConfigDocument, ConfigProblem } from "@sockeye/engine/control/contract";
import { ControlError } from "@sockeye/engine/control/control-error";
import { useEffect, useRef, useState } from "react";
import { call, refreshUpstreams } from "../../engine/engine.ts";
import { useText } from "../../i18n/text.ts";
import { Button } from "../../ui/button.tsx";
import { Card, Notice, Skeleton } from "../../ui/surface.tsx";
import { toast } from "../../ui/toast.tsx";
import styles from "./settings.module.css";

const VALIDATE_DELAY_MS = 300;
type Findings = CallResult<"config.validate">;

/** The file itself, with what `sockeye check` would say of it as one types. */
export function ConfigFile() {
  const { settings: text } = useText();
  const [file, setFile] = useState<ConfigDocument>();
  const [failure, setFailure] = useState<ControlError>();
  const [draft, setDraft] = useState<string>();
  const [findings, setFindings] = useState<Findings>();
  const [busy, setBusy] = useState(false);

  const read = () => {
    call("config.read", {}).then(
      (document) => {
        setFile(document);
        setFindings(document);
        setDraft(undefined);
        setFailure(undefined);
      },
      (error: unknown) => setFailure(asControlError(error)),
    );
  };
  useEffect(read, []);
  useEffect(() => {
    if (draft === undefined) return undefined;
    const timer = setTimeout(() => {
      call("config.validate", { text: draft }).then(setFindings, (error: unknown) =>
        setFailure(asControlError(error)),
      );
    }, VALIDATE_DELAY_MS);
    return () => clearTimeout(timer);
  }, [draft]);

  const save = async (revision: string) => {
    if (!file || draft === undefined) return;
    setBusy(true);
    try {
      const written = await call("config.write", { text: draft, revision }, { timeoutMs: 60_000 });
      setFile({ ...file, text: draft, revision: written.revision });
      setDraft(undefined);
      setFailure(undefined);
      toast({ message: text.fileSaved });
      await refreshUpstreams();
    } catch (error) {
      const found = asControlError(error);
      setFailure(found);
      if (found.problems) setFindings({ problems: [...found.problems], warnings: findings?.warnings ?? [] });
    } finally {
      setBusy(false);
    }
  };
  /** The newest revision is the one to take the place of, whoever wrote it. */
  const overwrite = () => {
    void call("config.read", {}).then(({ revision }) => save(revision));
  };

  if (failure?.code === "no-config-file") {
    return (
      <Card title={text.file}>
        <p className={styles["soft"]}>{text.fileNone}</p>
      </Card>
    );
  }
  if (!file) return <Skeleton height="20rem" />;
  const problems = findings?.problems ?? [];
  return (
    <Card title={text.file}>
      <p className={styles["soft"]}>{text.fileHint(file.path)}</p>
      {failure && (
        <Notice
          kind="bad"
          action={
            failure.code === "conflict" && (
              <>
                <Button onClick={read}>{text.fileReread}</Button>
                <Button kind="danger" onClick={overwrite}>
                  {text.fileOverwrite}
                </Button>
              </>
            )
          }
        >
          {failure.code === "conflict" ? text.fileConflict : failure.message}
        </Notice>
      )}
      <Editor value={draft ?? file.text} findings={findings} onChange={setDraft} />
      <div className={styles["foot"]}>
        <span className={styles["soft"]} role="status">
          {problems.length === 0 ? text.fileFine : text.fileProblems(problems.length)}
        </span>
        {draft !== undefined && <Button onClick={read}>{text.fileRevert}</Button>}
        <Button
          kind="primary"
          busy={busy}
          disabled={draft === undefined || draft === file.text || problems.length > 0}
          onClick={() => void save(file.revision)}
        >
          {text.fileSave}
        </Button>
      </div>
    </Card>
  );
}

function Editor({
  value,
  findings,
  onChange,
}: {
  readonly value: string;
  readonly findings: Findings | undefined;
  readonly onChange: (text: string) => void;
}) {
  const { settings: text } = useText();
  const area = useRef<HTMLTextAreaElement>(null);
  const gutter = useRef<HTMLPreElement>(null);
  const { problems = [], warnings = [] } = findings ?? {};
  const wrong = new Set(problems.map(({ line }) => line));
  const lines = value.split("\n").length;
  const show = ({ line, column }: ConfigProblem) => {
    const element = area.current;
    if (!element || line === 0) return;
    const before = value.split("\n").slice(0, line - 1);
    const at = before.reduce((sum, one) => sum + one.length + 1, 0) + Math.max(0, column - 1);
    element.focus();
    element.setSelectionRange(at, at);
    element.scrollTop = (line - 4) * (element.scrollHeight / lines);
  };
  return (
    <>
      <div className={styles["editor"]}>
        <pre ref={gutter} className={styles["lines"]} aria-hidden="true">
          {Array.from({ length: lines }, (_, index) => (
            <span key={index} className={wrong.has(index + 1) ? styles["wrong"] : undefined}>
              {index + 1}
              {"\n"}
            </span>
          ))}
        </pre>
        <textarea
          ref={area}
          className={styles["text"]}
          aria-label={text.fileText}
          aria-invalid={problems.length > 0 || undefined}
          spellCheck={false}
          wrap="off"
          value={value}
          onChange={({ target }) => onChange(target.value)}
          onScroll={({ currentTarget }) => {
            if (gutter.current) gutter.current.scrollTop = currentTarget.scrollTop;
          }}
        />
      </div>
      {problems.length + warnings.length > 0 && (
        <ul className={styles["problems"]}>
          {[...problems, ...warnings].map((problem, index) => (
            <li key={index}>
              <button
                type="button"
                className={
                  index < problems.length ? styles["problem"] : `${styles["problem"]} ${styles["warning"]}`
                }
                onClick={() => show(problem)}
              >
                {problem.line > 0 && <small>{text.fileAt(problem.line, problem.column)}</small>}
                {problem.message}
                {problem.hint !== undefined && <small>{problem.hint}</small>}
              </button>
            </li>
          ))}
        </ul>
      )}
    </>
  );
}

function asControlError(error: unknown): ControlError {
  return error instanceof ControlError ? error : new ControlError("internal", String(error));
}
