import type { ControlEdit } from "@sockeye/engine/control/contract";
import { useEffect, useState } from "react";
import { edit } from "../../engine/edit.ts";
import { call, useEngine } from "../../engine/engine.ts";
import { failureText } from "../../i18n/failure.ts";
import { useText } from "../../i18n/text.ts";
import { Button } from "../../ui/button.tsx";
import { Checkbox } from "../../ui/choice.tsx";
import { Field, Select } from "../../ui/field.tsx";
import { Notice } from "../../ui/surface.tsx";
import styles from "./first-run.module.css";
import { leaveFirstRun } from "./place.ts";

/** Opening a TUN device may wait for a person at the system's own prompt. */
const CONNECT_DEADLINE_MS = 120_000;

/** The ports that people expect. */
const PORTS = { socks5: "127.0.0.1:1080", http: "127.0.0.1:8118" } as const;

export function ConnectStep({
  names,
  subject,
}: {
  readonly names: readonly string[];
  readonly subject: string;
}) {
  const texts = useText();
  const text = texts.firstRun.connect;
  const off = useEngine((state) => state.status?.connection.state === "off");
  const [chosen, setChosen] = useState(subject);
  const [ports, setPorts] = useState(true);
  const lacksPort = useLacksPort();
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState<string>();

  const connect = async () => {
    setBusy(true);
    setFailure(undefined);
    const edits: ControlEdit[] = [{ kind: "set-default", to: chosen }];
    if (lacksPort && ports) {
      edits.push({ kind: "set-listen", listener: "socks5", value: PORTS.socks5 });
      edits.push({ kind: "set-listen", listener: "http", value: PORTS.http });
    }
    try {
      await edit(edits);
      if (off) await call("connect", {}, { timeoutMs: CONNECT_DEADLINE_MS });
      leaveFirstRun();
    } catch (error) {
      setFailure(failureText(texts, error));
      setBusy(false);
    }
  };

  return (
    <>
      <p className={styles["quiet"]}>{text.why(chosen)}</p>
      {names.length > 1 && (
        <div className={styles["choice"]}>
          <Field label={text.which}>
            {(control) => (
              <Select {...control} value={chosen} onChange={({ target }) => setChosen(target.value)}>
                {names.map((name) => (
                  <option key={name}>{name}</option>
                ))}
              </Select>
            )}
          </Field>
        </div>
      )}
      {lacksPort && (
        <Checkbox
          checked={ports}
          onChange={({ target }) => setPorts(target.checked)}
          label={
            <>
              {text.ports}
              <small className={styles["small"]}>
                {text.portsWhy(`SOCKS5 ${PORTS.socks5}, HTTP ${PORTS.http}`)}
              </small>
            </>
          }
        />
      )}
      {failure !== undefined && <Notice kind="bad">{failure}</Notice>}
      <div className={styles["buttons"]}>
        <Button kind="primary" large busy={busy} onClick={() => void connect()}>
          {off ? text.run : text.use}
        </Button>
      </div>
    </>
  );
}

/** Nothing could reach us: neither a port for programs nor TUN mode is in the configuration. */
function useLacksPort(): boolean {
  const [lacks, setLacks] = useState(false);
  const tun = useEngine((state) => state.status?.tunEnabled === true);
  useEffect(() => {
    let gone = false;
    call("config.read", {}).then(
      ({ config }) => {
        const listen = (config?.["listen"] ?? {}) as Readonly<Record<string, unknown>>;
        if (!gone) setLacks(!("socks5" in listen) && !("http" in listen));
      },
      () => {
        // Connecting says what is wrong.
      },
    );
    return () => {
      gone = true;
    };
  }, []);
  return lacks && !tun;
}
