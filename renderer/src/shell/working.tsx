import { useEffect, useState } from "react";
import { usePending } from "../engine/pending.ts";
import { useText } from "../i18n/text.ts";
import { Spinner } from "../ui/spinner.tsx";
import styles from "./app.module.css";

/** What comes sooner needs no word. */
const SLOW_MS = 700;

/** Says that something goes on, where the engine takes long to answer: whatever was asked, and even where no button shows it. */
export function Working() {
  const text = useText();
  const pending = usePending((state) => state.pending);
  const [slow, setSlow] = useState(false);
  useEffect(() => {
    if (!pending) {
      setSlow(false);
      return undefined;
    }
    const timer = setTimeout(() => setSlow(true), SLOW_MS);
    return () => clearTimeout(timer);
  }, [pending]);
  return (
    <div role="status" className={slow ? styles["working"] : "visually-hidden"}>
      {slow && (
        <>
          <Spinner />
          {text.common.working}
        </>
      )}
    </div>
  );
}
