import { CircleX, Unplug } from "lucide-react";
import { lazy, Suspense, useState } from "react";
import { callShell, shell } from "../desktop/shell.ts";
import { useDesktop } from "../desktop/store.ts";
import type { Link } from "../engine/engine.ts";
import { useText } from "../i18n/text.ts";
import { Button } from "../ui/button.tsx";
import { Spinner } from "../ui/spinner.tsx";
import { Empty, Notice } from "../ui/surface.tsx";
import { toastFailure } from "../ui/toast.tsx";
import styles from "./app.module.css";

const Repair = lazy(() => import("./repair.tsx").then((page) => ({ default: page.Repair })));

/** Opens the interface of the engine that runs now: one that was started again has another port and another key. */
const COMMAND = "sockeye ui";

/** Over what was last known, while the engine is away: what happened, in a sentence. */
export function LostBanner() {
  const { lost } = useText().shell;
  const engine = useDesktop((state) => state.engine);
  return (
    <div className={styles["banner"]}>
      <Notice kind="warn" action={<Spinner />}>
        <strong>{lost.title}.</strong>{" "}
        {engine?.state === "restarting" ? lost.restarting(engine.attempt, engine.reason) : lost.reconnecting}{" "}
        {!shell && lost.restarted(COMMAND)}
      </Notice>
    </div>
  );
}

/** In the page's place: before the first answer, without a key, and when the engine is not started again. */
export function Lost({ link }: { readonly link: Link }) {
  const text = useText().shell;
  const engine = useDesktop((state) => state.engine);
  if (engine?.state === "failed") {
    return engine.problems ? (
      <Suspense fallback={null}>
        <Repair problems={engine.problems} />
      </Suspense>
    ) : (
      <Failed reason={engine.reason} log={engine.log} />
    );
  }
  if (link.state === "no-key") {
    return (
      <div className={styles["lost"]}>
        {link.kind === "missing" ? (
          <Empty wholePage icon={<Unplug />} title={text.lost.noTokenTitle}>
            {text.lost.noToken(COMMAND)}
          </Empty>
        ) : (
          <Empty wholePage icon={<Unplug />} title={text.lost.refusedTitle}>
            {text.lost.refused(COMMAND)}
          </Empty>
        )}
      </div>
    );
  }
  return (
    <div className={styles["lost"]} role="status">
      <Empty icon={<Spinner />} title={text.connecting} />
    </div>
  );
}

/** The engine ended too often: what happened, what it said last, and the way to try again. */
function Failed({ reason, log }: { readonly reason: string; readonly log: string }) {
  const { lost } = useText().shell;
  const [busy, setBusy] = useState(false);
  return (
    <div className={styles["lost"]} role="alert">
      <Empty
        wholePage
        icon={<CircleX />}
        title={lost.failed}
        action={
          <Button
            kind="primary"
            large
            busy={busy}
            onClick={() => {
              setBusy(true);
              callShell("engine.restart", {})
                .catch(toastFailure)
                .finally(() => setBusy(false));
            }}
          >
            {lost.restart}
          </Button>
        }
      >
        {reason}
      </Empty>
      {log !== "" && (
        <section>
          <h2>{lost.log}</h2>
          <pre className={styles["log"]} tabIndex={0}>
            {log}
          </pre>
        </section>
      )}
    </div>
  );
}
