import { useText } from "../../i18n/text.ts";
import { type Preferences, setPreferences, usePreferences } from "../../preferences/preferences.ts";
import { Select } from "../../ui/field.tsx";
import { Segmented } from "../../ui/segmented.tsx";
import { SettingRow } from "../../ui/switch.tsx";
import { Card } from "../../ui/surface.tsx";
import styles from "./settings.module.css";

const themes = ["system", "light", "dark"] as const;

export function Appearance() {
  const { settings } = useText();
  const { theme, language } = usePreferences();
  return (
    <Card title={settings.appearance}>
      <SettingRow label={settings.theme}>
        {() => (
          <Segmented
            label={settings.theme}
            value={theme}
            options={themes.map((value) => ({ value, label: settings.themes[value] }))}
            onChange={(value) => setPreferences({ theme: value })}
          />
        )}
      </SettingRow>
      <SettingRow label={settings.language}>
        {({ labelledBy }) => (
          <div className={styles["short"]}>
            <Select
              aria-labelledby={labelledBy}
              value={language}
              onChange={({ target }) => setPreferences({ language: target.value as Preferences["language"] })}
            >
              <option value="system">{settings.systemLanguage}</option>
              <option value="en" lang="en">
                English
              </option>
              <option value="de" lang="de">
                Deutsch
              </option>
            </Select>
          </div>
        )}
      </SettingRow>
    </Card>
  );
}
