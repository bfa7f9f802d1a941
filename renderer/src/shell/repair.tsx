import type { ConfigProblem } from "@sockeye/engine/control/contract";
import { useEffect, useState } from "react";
import type { DesktopResult } from "../desktop/contract.ts";
import { callShell } from "../desktop/shell.ts";
import { failureText } from "../i18n/failure.ts";
import { useText } from "../i18n/text.ts";
import { ConfigEditor } from "../pages/settings/config-editor.tsx";
import { Button } from "../ui/button.tsx";
import { Card, Notice, Page, Skeleton } from "../ui/surface.tsx";
import { toastFailure } from "../ui/toast.tsx";
import styles from "./app.module.css";

/** The engine does not start with this configuration: what is wrong in it, and the file itself to be mended here. */
export function Repair({ problems }: { readonly problems: readonly ConfigProblem[] }) {
  const text = useText();
  const { common, shell, settings } = text;
  const { repair } = shell;
  const [file, setFile] = useState<DesktopResult<"config.read">>();
  const [draft, setDraft] = useState<string>();
  const [failure, setFailure] = useState<unknown>();
  const [busy, setBusy] = useState(false);

  const read = () => {
    callShell("config.read", {}).then((now) => {
      setFile(now);
      setDraft(undefined);
      setFailure(undefined);
    }, setFailure);
  };
  // Each start that was refused found the file as it was then.
  useEffect(read, [problems]);

  const start = async () => {
    setBusy(true);
    try {
      if (file && draft !== undefined && draft !== file.text) {
        await callShell("config.write", { text: draft, revision: file.revision });
      }
      await callShell("engine.restart", {});
    } catch (error) {
      setFailure(error);
    } finally {
      setBusy(false);
    }
  };

  return (
    <Page
      layout="reading"
      title={repair.title}
      subtitle={repair.why}
      actions={
        <>
          <Button onClick={() => void callShell("config.open", {}).catch(toastFailure)}>{repair.open}</Button>
          <Button kind="primary" busy={busy} onClick={() => void start()}>
            {draft === undefined ? shell.lost.restart : repair.save}
          </Button>
        </>
      }
    >
      <Card title={settings.file}>
        {file && <p className={styles["path"]}>{file.path}</p>}
        {failure !== undefined && (
          <Notice kind="bad" action={<Button onClick={read}>{settings.fileReread}</Button>}>
            {failureText(text, failure)}
          </Notice>
        )}
        {file ? (
          <ConfigEditor
            value={draft ?? file.text}
            findings={{ problems: [...problems], warnings: [] }}
            onChange={setDraft}
          />
        ) : (
          failure === undefined && <Skeleton height="20rem" />
        )}
        <p className={styles["path"]} role="status">
          {file ? settings.fileProblems(problems.length) : common.loading}
        </p>
      </Card>
    </Page>
  );
}
