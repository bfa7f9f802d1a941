import type { UpdateState } from "../../desktop/contract.ts";
import { callShell } from "../../desktop/shell.ts";
import { changeSettings, useDesktop, useDesktopFacts } from "../../desktop/store.ts";
import { type Text, useFormat, useText } from "../../i18n/text.ts";
import type { Format } from "../../i18n/text.ts";
import { Button } from "../../ui/button.tsx";
import { Segmented } from "../../ui/segmented.tsx";
import { SettingRow } from "../../ui/switch.tsx";
import { Card, Skeleton } from "../../ui/surface.tsx";
import { toastFailure } from "../../ui/toast.tsx";

const channels = ["stable", "beta", "off"] as const;

export function Updates() {
  const { settings: text } = useText();
  const format = useFormat();
  const settings = useDesktop((state) => state.settings);
  const update = useDesktop((state) => state.update);
  const facts = useDesktopFacts();
  if (!settings || !facts) return <Skeleton height="8rem" />;
  const possible = facts.updates === true;
  return (
    <Card title={text.updates}>
      <SettingRow label={text.channel} hint={facts.updates === true ? undefined : facts.updates.reason}>
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
        <SettingRow label={facts.version} hint={inWords(update, text, format)}>
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

function inWords(update: UpdateState, text: Text["settings"], format: Format): string | undefined {
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
      return update.message;
  }
}
