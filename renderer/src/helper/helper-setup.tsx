import type { HelperStatus } from "@sockeye/engine/control/contract";
import { useEffect, useState } from "react";
import { create } from "zustand";
import type { Outcome } from "../desktop/contract.ts";
import { callShell, shell } from "../desktop/shell.ts";
import { call } from "../engine/engine.ts";
import { failureText } from "../i18n/failure.ts";
import { useText } from "../i18n/text.ts";
import { Button } from "../ui/button.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { Notice } from "../ui/surface.tsx";
import { toastFailure } from "../ui/toast.tsx";
import styles from "./helper-setup.module.css";

/** What happens once the helper is there: what the person wanted in the first place. */
type Then = () => void;

const useSetup = create<{ readonly then: Then | undefined }>(() => ({ then: undefined }));

/** Opens the page that says what the helper is, and installs it when the person agrees. */
export function askForHelper(then: Then): void {
  useSetup.setState({ then });
}

/** Mounted once, over everything. */
export function HelperSetup() {
  const then = useSetup((state) => state.then);
  if (!then) return null;
  const close = () => useSetup.setState({ then: undefined });
  return (
    <SetupDialog
      onClose={close}
      onReady={() => {
        close();
        then();
      }}
    />
  );
}

function SetupDialog({ onClose, onReady }: { readonly onClose: () => void; readonly onReady: () => void }) {
  const text = useText();
  const { helper, common } = text;
  const [status, setStatus] = useState<HelperStatus>();
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string>();
  useEffect(() => {
    call("helper", {}).then(setStatus, toastFailure);
  }, []);
  const update = status?.state === "foreign";
  const install = async () => {
    setBusy(true);
    setProblem(undefined);
    const outcome = await outcomeOf(callShell("helper.install", {}));
    setBusy(false);
    if (outcome.ok) onReady();
    else setProblem(outcome.declined ? helper.declined : failureText(text, { code: "helper", ...outcome }));
  };
  return (
    <Dialog
      shape="wide"
      firm
      title={update ? helper.updateTitle : helper.setupTitle}
      onClose={onClose}
      onSubmit={() => void install()}
      foot={
        <>
          <Button onClick={onClose}>{common.cancel}</Button>
          {shell && (
            <Button kind="primary" submit busy={busy} disabled={status?.state === "unsupported"}>
              {update ? helper.update : helper.install}
            </Button>
          )}
        </>
      }
    >
      <p>{helper.short}</p>
      {problem !== undefined && <Notice kind="bad">{problem}</Notice>}
      {status?.state === "unsupported" && (
        <Notice kind="warn">
          {failureText(text, { code: "helper-unsupported", message: status.message })}
        </Notice>
      )}
      <div className={styles["columns"]}>
        <section>
          <h3>{helper.may}</h3>
          <ul>
            {helper.mayList.map((line) => (
              <li key={line}>{line}</li>
            ))}
          </ul>
        </section>
        <section>
          <h3>{helper.mayNot}</h3>
          <ul>
            {helper.mayNotList.map((line) => (
              <li key={line}>{line}</li>
            ))}
          </ul>
        </section>
      </div>
      <p>
        <strong>{helper.remove}.</strong> {helper.removeText}
      </p>
      {shell ? (
        <Notice>{helper.once}</Notice>
      ) : (
        <Notice>
          {helper.browser}
          <br />
          <code>{helper.browserCommand}</code>
        </Notice>
      )}
    </Dialog>
  );
}

/** A call that failed is an outcome too. */
export function outcomeOf(call: Promise<Outcome>): Promise<Outcome> {
  return call.catch((error: unknown) => ({
    ok: false,
    declined: false,
    message: error instanceof Error ? error.message : String(error),
  }));
}
