import { Unplug } from "lucide-react";
import type { Link } from "../engine/engine.ts";
import { useText } from "../i18n/text.ts";
import { Empty, Notice } from "../ui/surface.tsx";
import { Spinner } from "../ui/spinner.tsx";
import styles from "./app.module.css";

/** The page without its engine: before the first answer, and afterwards as a banner over what was last known. */
export function Lost({ link, banner }: { readonly link: Link; readonly banner?: boolean }) {
  const text = useText().shell;
  if (banner === true) {
    return (
      <div className={styles["banner"]}>
        <Notice kind="warn" action={<Spinner />}>
          <strong>{text.lost.title}.</strong> {text.lost.reconnecting}
        </Notice>
      </div>
    );
  }
  if (link.state === "no-key") {
    return (
      <div className={styles["lost"]}>
        <Empty icon={<Unplug />} title={text.lost.title}>
          {link.kind === "missing" ? text.lost.noToken : text.lost.refused}
        </Empty>
      </div>
    );
  }
  return (
    <div className={styles["lost"]} role="status">
      <Empty icon={<Spinner />} title={text.connecting} />
    </div>
  );
}
