import type { ImportedUpstream } from "@sockeye/engine/control/contract";
import { TriangleAlert } from "lucide-react";
import { failureText } from "../../i18n/failure.ts";
import { useText } from "../../i18n/text.ts";
import { Badge } from "../../ui/badge.tsx";
import { Checkbox } from "../../ui/choice.tsx";
import { Notice, Skeleton } from "../../ui/surface.tsx";
import { secretsIn } from "./import-plan.ts";
import type { ImportPreview, PreviewState } from "./import-source.ts";
import styles from "./import.module.css";

interface PreviewProps {
  readonly state: PreviewState;
  readonly chosen: ReadonlySet<string>;
  readonly needed: ReadonlyMap<string, string>;
  readonly onToggle: (name: string) => void;
}

/** What an import found, to choose from. */
export function Preview({ state, ...choice }: PreviewProps) {
  const text = useText();
  const words = text.upstreams.transfer;
  switch (state.state) {
    case "none":
      return <p className={styles["waiting"]}>{words.waiting}</p>;
    case "reading":
      return <Skeleton height="8rem" />;
    case "failed":
      return <Notice kind="bad">{failureText(text, state.error)}</Notice>;
    case "read":
      return <Found found={state.preview} {...choice} />;
  }
}

function Found({
  found,
  chosen,
  needed,
  onToggle,
}: Omit<PreviewProps, "state"> & { readonly found: ImportPreview }) {
  const text = useText();
  const words = text.upstreams.transfer;
  return (
    <div className={styles["preview"]}>
      <p className="visually-hidden" role="status">
        {words.found}: {found.upstreams.length}
      </p>
      {found.upstreams.length === 0 ? (
        <p className={styles["waiting"]}>{words.nothing}</p>
      ) : (
        <table className={styles["found"]} aria-label={words.found}>
          <thead>
            <tr>
              <td />
              <th scope="col">{words.name}</th>
              <th scope="col">{words.leadsTo}</th>
              <th scope="col">{words.from}</th>
            </tr>
          </thead>
          <tbody>
            {found.upstreams.map((one) => (
              <FoundRow
                key={one.name}
                one={one}
                checked={chosen.has(one.name)}
                neededBy={needed.get(one.name)}
                onToggle={onToggle}
              />
            ))}
          </tbody>
        </table>
      )}
      {found.skipped.length > 0 && (
        <details className={styles["skipped"]}>
          <summary>{words.skipped(found.skipped.length)}</summary>
          <ul>
            {found.skipped.map(({ from, why }, index) => (
              <li key={index}>
                <b>{from}</b> {failureText(text, { code: "import-skipped", message: why })}
              </li>
            ))}
          </ul>
        </details>
      )}
    </div>
  );
}

function FoundRow({
  one,
  checked,
  neededBy: by,
  onToggle,
}: {
  readonly one: ImportedUpstream;
  readonly checked: boolean;
  readonly neededBy: string | undefined;
  readonly onToggle: (name: string) => void;
}) {
  const text = useText();
  const words = text.upstreams.transfer;
  const { upstream, name, from, warnings, sameAs } = one;
  const type = textOf(upstream["type"]) ?? "ssh";
  const user = textOf(upstream["user"]);
  const via = textOf(upstream["via"]);
  const labels: Readonly<Record<string, string>> = text.upstreams.types;
  return (
    <tr>
      <td>
        <Checkbox
          aria-label={words.include(name)}
          checked={checked || by !== undefined}
          disabled={by !== undefined && !checked}
          onChange={() => onToggle(name)}
        />
      </td>
      <td>
        <span className={styles["name"]}>
          <strong>{name}</strong> <Badge>{labels[type] ?? type}</Badge>
        </span>
        {by !== undefined && !checked && <p className={styles["note"]}>{words.neededBy(by)}</p>}
      </td>
      <td>
        <span className={styles["address"]}>
          {user === undefined ? "" : `${user}@`}
          {textOf(upstream["address"])}
        </span>
        {via !== undefined && <p className={styles["note"]}>{text.upstreams.through(via)}</p>}
        {secretsIn(one).length > 0 && <p className={styles["note"]}>{words.secret}</p>}
        {sameAs !== undefined && <Warning>{words.sameAs(sameAs)}</Warning>}
        {warnings.map((warning) => (
          <Warning key={warning}>{failureText(text, { code: "import-warning", message: warning })}</Warning>
        ))}
      </td>
      <td className={styles["note"]}>{from}</td>
    </tr>
  );
}

function Warning({ children }: { readonly children: string }) {
  return (
    <p className={styles["warning"]}>
      <TriangleAlert size={13} aria-hidden="true" />
      <span>{children}</span>
    </p>
  );
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}
