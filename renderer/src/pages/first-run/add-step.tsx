import { FlaskConical, type LucideIcon, Plus, Upload } from "lucide-react";
import { useState } from "react";
import { call, refreshUpstreams } from "../../engine/engine.ts";
import { useText } from "../../i18n/text.ts";
import { Button } from "../../ui/button.tsx";
import { Spinner } from "../../ui/spinner.tsx";
import { toastFailure } from "../../ui/toast.tsx";
import { Editor } from "../upstreams/editor.tsx";
import { ImportDialog } from "../upstreams/import-dialog.tsx";
import styles from "./first-run.module.css";

/** Three upstreams are started, and the file is written. */
const DEMO_DEADLINE_MS = 60_000;

export function AddStep({
  names,
  onAdded,
}: {
  readonly names: readonly string[];
  readonly onAdded: (name: string) => void;
}) {
  const text = useText().firstRun.upstream;
  const [open, setOpen] = useState<"editor" | "import">();
  const [busy, setBusy] = useState(false);
  const addDemo = async () => {
    setBusy(true);
    try {
      const { added } = await call("demo.add", {}, { timeoutMs: DEMO_DEADLINE_MS });
      await refreshUpstreams();
      if (added[0] !== undefined) onAdded(added[0]);
    } catch (error) {
      toastFailure(error);
    } finally {
      setBusy(false);
    }
  };
  return (
    <>
      {names.length === 0 ? (
        <>
          <p className={styles["quiet"]}>{text.why}</p>
          <div className={styles["ways"]}>
            <Way icon={Plus} title={text.add} why={text.addWhy} onClick={() => setOpen("editor")} />
            <Way icon={Upload} title={text.import} why={text.importWhy} onClick={() => setOpen("import")} />
            <Way
              icon={FlaskConical}
              title={text.demo}
              why={text.demoWhy}
              busy={busy}
              onClick={() => void addDemo()}
            />
          </div>
        </>
      ) : (
        <div className={styles["have"]}>
          <p className={styles["quiet"]}>{text.have(names.join(", "))}</p>
          <Button kind="quiet" onClick={() => setOpen("editor")}>
            {text.another}
          </Button>
        </div>
      )}
      {open === "editor" && (
        <Editor
          onClose={(saved) => {
            setOpen(undefined);
            if (saved !== undefined) onAdded(saved);
          }}
        />
      )}
      {open === "import" && (
        <ImportDialog
          onClose={(imported) => {
            setOpen(undefined);
            if (imported?.[0] !== undefined) onAdded(imported[0]);
          }}
        />
      )}
    </>
  );
}

function Way({
  icon: Icon,
  title,
  why,
  busy = false,
  onClick,
}: {
  readonly icon: LucideIcon;
  readonly title: string;
  readonly why: string;
  readonly busy?: boolean;
  readonly onClick: () => void;
}) {
  return (
    <button
      type="button"
      className={styles["way"]}
      disabled={busy}
      aria-busy={busy || undefined}
      onClick={onClick}
    >
      {busy ? <Spinner /> : <Icon size={17} aria-hidden="true" />}
      <span>
        <strong>{title}</strong>
        <span>{why}</span>
      </span>
    </button>
  );
}
