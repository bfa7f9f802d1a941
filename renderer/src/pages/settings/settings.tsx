import { shell } from "../../desktop/shell.ts";
import { useText } from "../../i18n/text.ts";
import { Notice, Page } from "../../ui/surface.tsx";
import { About } from "./about.tsx";
import { Appearance } from "./appearance.tsx";
import { ConfigFile } from "./config-file.tsx";
import { Helper } from "./helper.tsx";
import { ListenerSettings } from "./listeners.tsx";
import { Protection } from "./protection.tsx";
import styles from "./settings.module.css";
import { Starting } from "./starting.tsx";
import { Updates } from "./updates.tsx";

export function SettingsPage() {
  const text = useText();
  return (
    <Page title={text.settings.title} layout="reading">
      <div className={styles["page"]}>
        <Appearance />
        {shell ? <Starting /> : <Notice>{text.settings.desktopOnly}</Notice>}
        <ListenerSettings />
        <Protection />
        <Helper />
        {shell && <Updates />}
        <ConfigFile />
        <About />
      </div>
    </Page>
  );
}
