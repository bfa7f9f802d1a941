import type { UpdateState } from "../../desktop/contract.ts";
import { callShell } from "../../desktop/shell.ts";
import { changeSettings, useDesktop, useDesktopFacts } from "../../desktop/store.ts";
import { failureText } from "../../i18n/failure.ts";
import { type Text, useFormat, useText } from "../../i18n/text.ts";
import type { Format } from "../../i18n/text.ts";
import { Button } from "../../ui/button.tsx";
import { Segmented } from "../../ui/segmented.tsx";
import { SettingRow } from "../../ui/switch.tsx";
import { Card, Skeleton } from "../../ui/surface.tsx";
import { toastFailure } from "../../ui/toast.tsx";

const channels = ["stable", "beta", "off"] as const;

export function Updates() {
  const words = useText();
  const text = words.settings;
  const format = useFormat();
  const settings = useDesktop((state) => state.settings);
  const update = useDesktop((state) => state.update);
  const facts = useDesktopFacts();
  if (!settings || !facts) return <Skeleton height="8rem" />;
  const possible = facts.updates === true;
  const noUpdates =
    facts.updates === true
      ? undefined
      : failureText(words, { code: "no-updates", message: facts.updates.reason });
  return (
    <Card title={text.updates}>
      <SettingRow label={text.channel} hint={noUpdates}>
        {() => (
          <Segmented
            label={text.channel}
            value={settings.updateChannel}
            options={channels.map((value) => ({ value, label: text.channels[value] }))}
            onChange={(updateChannel) => changeSettings({ updateChannel })}
          />
        )}
      </SettingRow>
      {possible && (
        <SettingRow label={facts.version} hint={inWords(update, words, format)}>
          {() =>
            update.state === "ready" ? (
              <Button kind="primary" onClick={() => void callShell("update.install", {}).catch(toastFailure)}>
                {text.install}
              </Button>
            ) : (
              <Button
                busy={update.state === "checking" || update.state === "downloading"}
                onClick={() => void callShell("update.check", {}).catch(toastFailure)}
              >
                {text.check}
              </Button>
            )
          }
        </SettingRow>
      )}
    </Card>
  );
}

function inWords(update: UpdateState, words: Text, format: Format): string | undefined {
  const text = words.settings;
  switch (update.state) {
    case "idle":
      return update.checkedAt === undefined ? undefined : text.upToDate;
    case "checking":
      return text.checking;
    case "downloading":
      return text.downloading(update.version, format.number(update.percent));
    case "ready":
      return text.ready(update.version);
    case "failed":
      return failureText(words, { code: "update", message: update.message });
  }
}
