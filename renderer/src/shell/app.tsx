import { lazy, Suspense } from "react";
import { useEngine } from "../engine/engine.ts";
import { useText } from "../i18n/text.ts";
import { HomePage } from "../pages/home/home.tsx";
import { Toasts } from "../ui/toast.tsx";
import styles from "./app.module.css";
import { Lost } from "./lost.tsx";
import { type PageName, usePlace } from "./pages.ts";
import { Sidebar } from "./sidebar.tsx";

/** What is not the first page comes when it is asked for. */
const ConnectionsPage = lazy(() =>
  import("../pages/connections/connections.tsx").then((page) => ({ default: page.ConnectionsPage })),
);

const LogsPage = lazy(() => import("../pages/logs/logs.tsx").then((page) => ({ default: page.LogsPage })));

const RoutesPage = lazy(() =>
  import("../pages/routes/routes.tsx").then((page) => ({ default: page.RoutesPage })),
);

const MetricsPage = lazy(() =>
  import("../pages/metrics/metrics.tsx").then((page) => ({ default: page.MetricsPage })),
);

export function App() {
  const text = useText();
  const { page, rest } = usePlace();
  const seen = useEngine((state) => state.status !== undefined);
  const link = useEngine((state) => state.link);
  return (
    <div className={styles["app"]}>
      <a
        className={styles["skip"]}
        href="#content"
        onClick={(event) => {
          event.preventDefault();
          document.getElementById("content")?.focus();
        }}
      >
        {text.shell.skip}
      </a>
      <Sidebar current={page} />
      <main id="content" tabIndex={-1} className={styles["main"]}>
        {link.state === "no-key" || !seen ? (
          <Lost link={link} />
        ) : (
          <div className={styles["column"]}>
            {link.state === "lost" && <Lost link={link} banner />}
            <Suspense fallback={<div />}>
              <Current page={page} rest={rest} />
            </Suspense>
          </div>
        )}
      </main>
      <Toasts />
    </div>
  );
}

function Current({ page, rest }: { readonly page: PageName; readonly rest: string }) {
  switch (page) {
    case "home":
      return <HomePage />;
    case "connections":
      return <ConnectionsPage />;
    case "logs":
      return <LogsPage />;
    case "routes":
      return <RoutesPage />;
    case "metrics":
      return <MetricsPage />;
    default:
      return <p>{rest}</p>;
  }
}
