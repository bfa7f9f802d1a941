import { useEffect, useState } from "react";
import { copyText, saveText } from "../../desktop/shell.ts";
import { call } from "../../engine/engine.ts";
import { failureText } from "../../i18n/failure.ts";
import { useText } from "../../i18n/text.ts";
import { Button } from "../../ui/button.tsx";
import { Dialog } from "../../ui/dialog.tsx";
import { Notice, Skeleton } from "../../ui/surface.tsx";
import { toast, toastFailure } from "../../ui/toast.tsx";
import styles from "./logs.module.css";

/** What a report would say, all of it, before the person does anything with it. */
export function ProblemReport({ onClose }: { readonly onClose: () => void }) {
  const text = useText();
  const [report, setReport] = useState<string>();
  const [failure, setFailure] = useState<string>();
  useEffect(() => {
    call("report", {}, { timeoutMs: 30_000 }).then(
      (answer) => setReport(answer.text),
      (error: unknown) => setFailure(failureText(text, error)),
    );
  }, []);
  return (
    <Dialog
      shape="wide"
      title={text.logs.reportTitle}
      onClose={onClose}
      foot={
        <>
          <Button
            disabled={report === undefined}
            onClick={() => {
              copyText(report ?? "").then(() => toast({ message: text.common.copied }), toastFailure);
            }}
          >
            {text.common.copy}
          </Button>
          <Button
            kind="primary"
            disabled={report === undefined}
            onClick={() => {
              saveText(text.logs.reportName, report ?? "").then((saved) => saved && onClose(), toastFailure);
            }}
          >
            {text.logs.save}
          </Button>
        </>
      }
    >
      <p>{text.logs.reportText}</p>
      {failure !== undefined ? (
        <Notice kind="bad">{failure}</Notice>
      ) : report === undefined ? (
        <Skeleton height="20rem" />
      ) : (
        <pre className={styles["report"]} tabIndex={0}>
          {report}
        </pre>
      )}
    </Dialog>
  );
}
