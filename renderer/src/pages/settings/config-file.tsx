import type { ConfigDocument } from "@sockeye/engine/control/contract";
import { ControlError } from "@sockeye/engine/control/control-error";
import { useEffect, useState } from "react";
import { call, refreshUpstreams } from "../../engine/engine.ts";
import { failureText } from "../../i18n/failure.ts";
import { useText } from "../../i18n/text.ts";
import { Button } from "../../ui/button.tsx";
import { Card, Notice, Skeleton } from "../../ui/surface.tsx";
import { toast } from "../../ui/toast.tsx";
import { ConfigEditor, type Findings } from "./config-editor.tsx";
import styles from "./settings.module.css";

const VALIDATE_DELAY_MS = 300;

/** The file itself, with what `sockeye check` would say of it as one types. */
export function ConfigFile() {
  const all = useText();
  const { settings: text } = all;
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
    call("config.read", {}).then(
      ({ revision }) => save(revision),
      (error: unknown) => setFailure(asControlError(error)),
    );
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
          {failure.code === "conflict" ? text.fileConflict : failureText(all, failure)}
        </Notice>
      )}
      <ConfigEditor value={draft ?? file.text} findings={findings} onChange={setDraft} />
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

function asControlError(error: unknown): ControlError {
  return error instanceof ControlError ? error : new ControlError("internal", String(error));
}
