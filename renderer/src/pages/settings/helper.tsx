import type { HelperStatus } from "@sockeye/engine/control/contract";
import { useEffect, useState } from "react";
import { callShell, shell } from "../../desktop/shell.ts";
import { call } from "../../engine/engine.ts";
import { askForHelper, outcomeOf } from "../../helper/helper-setup.tsx";
import { failureText } from "../../i18n/failure.ts";
import { type Text, useText } from "../../i18n/text.ts";
import { Button } from "../../ui/button.tsx";
import { SettingRow } from "../../ui/switch.tsx";
import { Card } from "../../ui/surface.tsx";
import { toast, toastFailure } from "../../ui/toast.tsx";

/** Whether the helper is there, of which version, and the way to have it or be rid of it. */
export function Helper() {
  const words = useText();
  const text = words.helper;
  const [status, setStatus] = useState<HelperStatus>();
  const [busy, setBusy] = useState(false);
  const look = () => {
    call("helper", {}).then(setStatus, toastFailure);
  };
  useEffect(look, []);
  const remove = async () => {
    setBusy(true);
    const outcome = await outcomeOf(callShell("helper.remove", {}));
    setBusy(false);
    toast(
      outcome.ok
        ? { message: text.removed }
        : {
            message: outcome.declined ? text.declined : failureText(words, { code: "helper", ...outcome }),
            bad: true,
          },
    );
    look();
  };
  const state = status?.state;
  return (
    <Card title={text.title}>
      <SettingRow label={status ? inWords(status, text) : "…"} hint={hintOf(status, words)}>
        {() =>
          state === "running"
            ? shell && (
                <Button kind="danger" busy={busy} onClick={() => void remove()}>
                  {text.uninstall}
                </Button>
              )
            : (state === "absent" || state === "foreign") && (
                <Button onClick={() => askForHelper(look)}>
                  {state === "foreign" ? text.update : text.install}
                </Button>
              )
        }
      </SettingRow>
    </Card>
  );
}

/** The engine's own sentence only where it says more than the state: not that there is none. */
function hintOf(status: HelperStatus | undefined, text: Text): string {
  if (status === undefined || status.state === "absent") return text.helper.short;
  return failureText(text, { code: `helper-${status.state}`, message: status.message });
}

function inWords({ state, version = "?" }: HelperStatus, text: Text["helper"]): string {
  switch (state) {
    case "running":
    case "foreign":
      return text.states[state](version);
    case "busy":
    case "absent":
    case "unsupported":
      return text.states[state];
  }
}
