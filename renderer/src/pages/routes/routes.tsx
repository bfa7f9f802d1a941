import type { StreamEvent } from "@sockeye/engine/control/contract";
import { useState } from "react";
import { useStream } from "../../engine/engine.ts";
import { failureText } from "../../i18n/failure.ts";
import { useText } from "../../i18n/text.ts";
import { Notice, Page, Skeleton } from "../../ui/surface.tsx";
import { CapturedNetworks } from "./captured-networks.tsx";
import styles from "./routes.module.css";
import { Rules } from "./rules.tsx";
import { Tester } from "./tester.tsx";

/** Rules in order with their hits, a way to try one's target, and what TUN mode captures. */
export function RoutesPage() {
  const text = useText();
  const [routes, setRoutes] = useState<StreamEvent<"routes">>();
  const failure = useStream("routes", {}, setRoutes);
  return (
    <Page title={text.routes.title} subtitle={text.routes.subtitle}>
      <div className={styles["page"]}>
        {failure && <Notice kind="bad">{failureText(text, failure)}</Notice>}
        {routes ? <Rules applied={routes} /> : !failure && <Skeleton height="16rem" />}
        <Tester />
        <CapturedNetworks />
      </div>
    </Page>
  );
}
