import { AlertTriangle, CircleX, Info } from "lucide-react";
import type { ReactNode } from "react";
import styles from "./surface.module.css";

const join = (...names: (string | false | undefined)[]) => names.filter(Boolean).join(" ");

export interface PageProps {
  readonly title: ReactNode;
  readonly subtitle?: ReactNode;
  readonly actions?: ReactNode;
  /** `reading`: a column of a good measure. `filled`: the content scrolls by itself. Default: a wide column. */
  readonly layout?: "wide" | "reading" | "filled";
  readonly children: ReactNode;
}

export function Page({ title, subtitle, actions, layout = "wide", children }: PageProps) {
  const filled = layout === "filled";
  const column = filled ? undefined : join(styles["measure"], layout === "reading" && styles["narrow"]);
  return (
    <div className={styles["page"]}>
      <header className={join(styles["pageHead"], filled && styles["overFilled"])}>
        <div className={join(styles["headline"], column)}>
          <div>
            <h1>{title}</h1>
            {subtitle !== undefined && <p className={styles["subtitle"]}>{subtitle}</p>}
          </div>
          {actions !== undefined && <div className={styles["actions"]}>{actions}</div>}
        </div>
      </header>
      <div className={join(styles["pageBody"], filled && styles["filled"])}>
        {filled ? children : <div className={column}>{children}</div>}
      </div>
    </div>
  );
}

export interface CardProps {
  readonly title?: ReactNode;
  readonly actions?: ReactNode;
  /** Its content reaches the edges. */
  readonly bare?: boolean;
  readonly children: ReactNode;
}

export function Card({ title, actions, bare, children }: CardProps) {
  return (
    <section className={join(styles["card"], bare !== true && styles["padded"])}>
      {(title !== undefined || actions !== undefined) && (
        <header className={styles["cardHead"]}>
          <h2>{title}</h2>
          {actions}
        </header>
      )}
      {children}
    </section>
  );
}

/** Nothing is here, why, and what to do about it. */
export function Empty({
  icon,
  title,
  children,
  action,
  wholePage,
}: {
  readonly icon: ReactNode;
  readonly title: string;
  readonly children?: ReactNode;
  readonly action?: ReactNode;
  /** There is nothing else on the page: its title is the page's. */
  readonly wholePage?: boolean;
}) {
  const Title = wholePage === true ? "h1" : "h2";
  return (
    <div className={styles["empty"]}>
      <div className={styles["emptyIcon"]} aria-hidden="true">
        {icon}
      </div>
      <Title>{title}</Title>
      {children !== undefined && <p>{children}</p>}
      {action}
    </div>
  );
}

/** Something to know, in the flow of the page. `bad` and `warn` are read out when they come. */
export function Notice({
  kind = "info",
  children,
  action,
}: {
  readonly kind?: "info" | "warn" | "bad";
  readonly children: ReactNode;
  readonly action?: ReactNode;
}) {
  const Icon = { info: Info, warn: AlertTriangle, bad: CircleX }[kind];
  return (
    <div
      role={kind === "info" ? undefined : "alert"}
      className={join(styles["notice"], kind !== "info" && styles[kind])}
    >
      <Icon size={16} aria-hidden="true" />
      <div>{children}</div>
      {action}
    </div>
  );
}

/** Where something will be, of its size, so that nothing jumps when it comes. */
export function Skeleton({ height, width = "100%" }: { readonly height: string; readonly width?: string }) {
  return <div aria-hidden="true" className={styles["skeleton"]} style={{ height, width }} />;
}
