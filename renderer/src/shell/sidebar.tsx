import {
  Activity,
  Cable,
  House,
  type LucideIcon,
  Radio,
  ScrollText,
  Server,
  Settings,
  Split,
} from "lucide-react";
import { useEngine } from "../engine/engine.ts";
import { useFormat, useText } from "../i18n/text.ts";
import { StateMark } from "../ui/state-mark.tsx";
import styles from "./app.module.css";
import { type PageName, pages } from "./page-names.ts";
import { linkTo } from "./pages.ts";

const icons: Readonly<Record<PageName, LucideIcon>> = {
  home: House,
  upstreams: Server,
  routes: Split,
  share: Radio,
  connections: Cable,
  logs: ScrollText,
  metrics: Activity,
  settings: Settings,
};

export function Sidebar({ current }: { readonly current: PageName }) {
  const text = useText();
  return (
    <nav className={styles["sidebar"]} aria-label={text.shell.navigation}>
      <div className={styles["brand"]}>
        <img src="./icon.svg" alt="" />
        <span>Sockeye</span>
      </div>
      <ul className={styles["links"]}>
        {pages.map((page) => {
          const Icon = icons[page];
          return (
            <li key={page}>
              <a
                href={linkTo(page)}
                className={styles["link"]}
                aria-current={page === current ? "page" : undefined}
                title={text.shell.pages[page]}
              >
                <Icon size={16} aria-hidden="true" />
                <span>{text.shell.pages[page]}</span>
                {page === "connections" && <OpenConnections />}
              </a>
            </li>
          );
        })}
      </ul>
      <State />
    </nav>
  );
}

function OpenConnections() {
  const format = useFormat();
  const active = useEngine((state) => state.status?.flows.active ?? 0);
  return active > 0 && <span className={`${styles["count"]} figures`}>{format.number(active)}</span>;
}

function State() {
  const text = useText();
  const link = useEngine((engine) => engine.link.state);
  const connection = useEngine((engine) => engine.status?.connection.state);
  const state = link === "open" ? (connection ?? "connecting") : "offline";
  return (
    <p className={styles["state"]}>
      <StateMark state={state === "offline" ? "off" : state} />
      <span>{text.shell.states[state]}</span>
    </p>
  );
}
