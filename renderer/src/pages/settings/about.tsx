import { useEngine } from "../../engine/engine.ts";
import { useFormat, useText } from "../../i18n/text.ts";
import { Card } from "../../ui/surface.tsx";
import styles from "./settings.module.css";

export function About() {
  const { settings: text } = useText();
  const format = useFormat();
  const status = useEngine((state) => state.status);
  if (!status) return null;
  const facts: [string, string][] = [
    [text.version, status.version],
    [text.process, `${status.pid}`],
    [text.memory, format.bytes(status.rssBytes)],
    ...(status.sshCrypto === undefined ? [] : ([[text.cipher, status.sshCrypto]] as [string, string][])),
  ];
  return (
    <Card title={text.about}>
      <dl className={`${styles["facts"]} figures`}>
        {facts.map(([term, fact]) => (
          <div key={term} style={{ display: "contents" }}>
            <dt>{term}</dt>
            <dd>{fact}</dd>
          </div>
        ))}
      </dl>
    </Card>
  );
}
