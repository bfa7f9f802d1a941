import { changeSettings, useDesktop, useDesktopFacts } from "../../desktop/store.ts";
import { useText } from "../../i18n/text.ts";
import { TextInput } from "../../ui/field.tsx";
import { SettingRow, Switch } from "../../ui/switch.tsx";
import { Card, Skeleton } from "../../ui/surface.tsx";
import styles from "./settings.module.css";
import { shortcutOf } from "./shortcut.ts";

/** What the desktop shell does by itself. */
export function Starting() {
  const { settings: text } = useText();
  const settings = useDesktop((state) => state.settings);
  const facts = useDesktopFacts();
  if (!settings || !facts) return <Skeleton height="16rem" />;
  const rows = [
    {
      key: "launchAtLogin",
      label: text.launchAtLogin,
      hint: text.launchAtLoginHint,
      possible: facts.loginItem,
    },
    { key: "connectOnLaunch", label: text.connectOnLaunch, hint: undefined, possible: true },
    {
      key: "closeToTray",
      label: text.closeToTray,
      hint: facts.tray ? text.closeToTrayHint : text.noTray,
      possible: facts.tray,
    },
    { key: "notifications", label: text.notifications, hint: text.notificationsHint, possible: true },
  ] as const;
  return (
    <Card title={text.start}>
      {rows.map(({ key, label, hint, possible }) => (
        <SettingRow key={key} label={label} hint={hint}>
          {(ids) => (
            <Switch
              {...ids}
              disabled={!possible}
              checked={possible && settings[key]}
              onChange={(on) => changeSettings({ [key]: on })}
            />
          )}
        </SettingRow>
      ))}
      <SettingRow label={text.shortcut} hint={text.shortcutHint}>
        {({ labelledBy, describedBy }) => (
          <div className={styles["short"]}>
            <TextInput
              aria-labelledby={labelledBy}
              aria-describedby={describedBy}
              readOnly
              value={settings.shortcut ?? text.shortcutNone}
              onKeyDown={(event) => {
                if (event.key === "Tab") return;
                event.preventDefault();
                if (event.key === "Backspace" || event.key === "Delete") changeSettings({ shortcut: null });
                const shortcut = shortcutOf(event);
                if (shortcut !== undefined) changeSettings({ shortcut });
              }}
            />
          </div>
        )}
      </SettingRow>
    </Card>
  );
}
