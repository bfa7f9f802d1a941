import type { EngineStatus } from "@sockeye/engine/control/contract";
import { ControlError } from "@sockeye/engine/control/control-error";
import { Power } from "lucide-react";
import { useState } from "react";
import { edit } from "../../engine/edit.ts";
import { call, useEngine } from "../../engine/engine.ts";
import { askForHelper } from "../../helper/helper-setup.tsx";
import { failureText } from "../../i18n/failure.ts";
import { type Text, useText } from "../../i18n/text.ts";
import { Field, Select } from "../../ui/field.tsx";
import { Spinner } from "../../ui/spinner.tsx";
import { linkTo } from "../../shell/pages.ts";
import { toastFailure } from "../../ui/toast.tsx";
import { FIRST_RUN } from "../first-run/place.ts";
import styles from "./home.module.css";

/** Opening a TUN device may wait for a person at the system's own prompt. */
const CONNECT_DEADLINE_MS = 120_000;

/** As programs' settings call them. */
const PROXIES = { socks5: "SOCKS5", http: "HTTP" } as const;

/** The big switch, the state in words, and where traffic goes by default. */
export function ConnectCard() {
  const text = useText();
  const status = useEngine((state) => state.status);
  const [wish, setWish] = useState<"on" | "off">();
  if (!status) return null;
  const { state } = status.connection;
  const on = wish === undefined ? state !== "off" : wish === "on";

  const toggle = async () => {
    const next = on ? "off" : "on";
    setWish(next);
    try {
      await call(next === "on" ? "connect" : "disconnect", {}, { timeoutMs: CONNECT_DEADLINE_MS });
    } catch (error) {
      if (error instanceof ControlError && error.code === "helper" && !(await helperIsBusy()))
        askForHelper(() => void toggle());
      else toastFailure(error);
    } finally {
      setWish(undefined);
    }
  };

  const busy = wish !== undefined || state === "connecting";
  return (
    <section className={styles["hero"]} data-state={wish === undefined ? state : "connecting"}>
      <button
        type="button"
        role="switch"
        aria-checked={on}
        aria-busy={busy}
        aria-label={text.home.switch}
        className={styles["big"]}
        onClick={() => void toggle()}
      >
        <span className={styles["knob"]}>{busy ? <Spinner /> : <Power size={18} strokeWidth={2.25} />}</span>
      </button>
      <div className={styles["words"]} role="status">
        <h1>{headline(status, wish, text)}</h1>
        <Detail status={status} text={text} />
      </div>
      <DefaultUpstream current={status.default} />
    </section>
  );
}

function headline(
  { connection, default: to }: EngineStatus,
  wish: "on" | "off" | undefined,
  text: Text,
): string {
  if (wish === "on") return text.home.connecting;
  if (wish === "off") return text.home.disconnecting;
  switch (connection.state) {
    case "off":
      return connection.error ? text.home.failed : text.home.off;
    case "connecting":
      return text.home.connecting;
    case "connected":
      if (to === "direct") return text.home.connectedDirect;
      return to === "block" ? text.home.connectedBlock : text.home.connected(to);
    case "trouble":
      return text.home.trouble;
  }
}

function Detail({ status, text }: { readonly status: EngineStatus; readonly text: Text }) {
  const upstreams = useEngine((state) => state.upstreams);
  const { connection, listeners, tun } = status;
  if (connection.state === "off") {
    return connection.error ? (
      <p className={styles["problem"]}>{failureText(text, connection.error)}</p>
    ) : (
      <p className={styles["detail"]}>{text.home.offDetail}</p>
    );
  }
  if (connection.state === "trouble") {
    const { cause, message } = connection;
    return <p className={styles["problem"]}>{failureText(text, { code: cause, message })}</p>;
  }
  if (upstreams.every(({ name }) => name === "direct")) {
    return (
      <p className={styles["detail"]}>
        {text.home.noUpstream} <a href={linkTo("home", FIRST_RUN)}>{text.upstreams.begin}</a>
      </p>
    );
  }
  const proxies = listeners.flatMap(({ kind, address }) =>
    kind === "socks5" || kind === "http" ? `${PROXIES[kind]} ${address}` : [],
  );
  return (
    <p className={styles["detail"]}>
      {tun.state === "on" ? text.home.everything : text.home.proxyOnly(proxies.join(", "))}
    </p>
  );
}

function DefaultUpstream({ current }: { readonly current: string }) {
  const text = useText();
  const upstreams = useEngine((state) => state.upstreams);
  const names = upstreams.map(({ name }) => name).filter((name) => name !== "direct");
  return (
    <div className={styles["choice"]}>
      <Field label={text.home.upstream}>
        {(control) => (
          <Select
            {...control}
            value={current}
            onChange={({ target }) =>
              void edit([{ kind: "set-default", to: target.value }]).catch(toastFailure)
            }
          >
            {names.map((name) => (
              <option key={name} value={name}>
                {name}
              </option>
            ))}
            <option value="direct">{text.common.direct}</option>
            <option value="block">{text.common.block}</option>
          </Select>
        )}
      </Field>
    </div>
  );
}

/** It is there, and serves another engine: to install it would change nothing. */
async function helperIsBusy(): Promise<boolean> {
  try {
    return (await call("helper", {})).state === "busy";
  } catch {
    return false;
  }
}
