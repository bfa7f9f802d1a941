import { lazy, Suspense, useEffect } from "react";
import { HelperSetup } from "../helper/helper-setup.tsx";
import { useDesktop } from "../desktop/store.ts";
import { useEngine } from "../engine/engine.ts";
import { useText } from "../i18n/text.ts";
import { FIRST_RUN, useFirstRun } from "../pages/first-run/place.ts";
import { HomePage } from "../pages/home/home.tsx";
import { Prompts } from "../prompts/prompts.tsx";
import { Announcer } from "../ui/announce.tsx";
import { Spinner } from "../ui/spinner.tsx";
import { Toasts } from "../ui/toast.tsx";
import styles from "./app.module.css";
import { Lost, LostBanner } from "./lost.tsx";
import type { PageName } from "./page-names.ts";
import { linkTo, usePlace } from "./pages.ts";
import { Sidebar } from "./sidebar.tsx";
import { Working } from "./working.tsx";

/** What is not the first page comes when it is asked for. */
const ConnectionsPage = lazy(() =>
  import("../pages/connections/connections.tsx").then((page) => ({ default: page.ConnectionsPage })),
);

const LogsPage = lazy(() => import("../pages/logs/logs.tsx").then((page) => ({ default: page.LogsPage })));

const RoutesPage = lazy(() =>
  import("../pages/routes/routes.tsx").then((page) => ({ default: page.RoutesPage })),
);

const FirstRun = lazy(() =>
  import("../pages/first-run/first-run.tsx").then((page) => ({ default: page.FirstRun })),
);

const UpstreamsPage = lazy(() =>
  import("../pages/upstreams/upstreams.tsx").then((page) => ({ default: page.UpstreamsPage })),
);

const SharePage = lazy(() =>
  import("../pages/share/share.tsx").then((page) => ({ default: page.SharePage })),
);

const MetricsPage = lazy(() =>
  import("../pages/metrics/metrics.tsx").then((page) => ({ default: page.MetricsPage })),
);

const SettingsPage = lazy(() =>
  import("../pages/settings/settings.tsx").then((page) => ({ default: page.SettingsPage })),
);

export function App() {
  const text = useText();
  const { page, rest } = usePlace();
  const seen = useEngine((state) => state.status !== undefined);
  const link = useEngine((state) => state.link);
  const failed = useDesktop((state) => state.engine?.state === "failed");
  useEffect(() => {
    // For who measures how long it took: from here on the page does what it is told.
    if (seen) performance.mark("interactive");
  }, [seen]);
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
        {link.state === "no-key" || failed || !seen ? (
          <Lost link={link} />
        ) : (
          <div className={styles["column"]}>
            {link.state === "lost" && <LostBanner />}
            <Suspense fallback={<Waiting />}>
              <Current page={page} rest={rest} />
            </Suspense>
          </div>
        )}
      </main>
      <Prompts />
      <HelperSetup />
      <Toasts />
      <Announcer />
      <Working />
    </div>
  );
}

/** While a page's code comes, which from this machine takes a moment: seen only where it takes longer. */
function Waiting() {
  return (
    <div className={styles["waiting"]}>
      <Spinner />
    </div>
  );
}

function Current({ page, rest }: { readonly page: PageName; readonly rest: string }) {
  switch (page) {
    case "home":
      return <Home rest={rest} />;
    case "upstreams":
      return <UpstreamsPage rest={rest} />;
    case "connections":
      return <ConnectionsPage />;
    case "logs":
      return <LogsPage />;
    case "routes":
      return <RoutesPage />;
    case "share":
      return <SharePage rest={rest} />;
    case "metrics":
      return <MetricsPage />;
    case "settings":
      return <SettingsPage />;
  }
}

/** Who has no upstream yet begins with the first steps, unless they left them. */
function Home({ rest }: { readonly rest: string }) {
  const empty = useEngine((state) => state.upstreams.every(({ type }) => type === "direct"));
  const left = useFirstRun((state) => state.left);
  const begin = rest === "" && empty && !left;
  useEffect(() => {
    if (begin) location.replace(linkTo("home", FIRST_RUN));
  }, [begin]);
  return begin || rest === FIRST_RUN ? <FirstRun /> : <HomePage />;
}
