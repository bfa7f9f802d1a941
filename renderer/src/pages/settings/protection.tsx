import { useEffect, useState } from "react";
import { edit } from "../../engine/edit.ts";
import { call } from "../../engine/engine.ts";
import { useText } from "../../i18n/text.ts";
import { Select } from "../../ui/field.tsx";
import { SettingRow, Switch } from "../../ui/switch.tsx";
import { Card, Skeleton } from "../../ui/surface.tsx";
import { toastFailure } from "../../ui/toast.tsx";
import styles from "./settings.module.css";

const dnsModes = ["off", "hijack", "fake-ip"] as const;
type DnsMode = (typeof dnsModes)[number];

interface Guards {
  readonly block_when_disconnected: boolean;
  readonly dns: DnsMode;
}

/** What holds in TUN mode whatever happens: the kill switch, and who answers for names. */
export function Protection() {
  const { settings: text } = useText();
  const [guards, setGuards] = useState<Guards>();
  useEffect(() => {
    call("config.read", {}).then(({ config }) => setGuards(guardsOf(config)), toastFailure);
  }, []);
  if (!guards) return <Skeleton height="9rem" />;
  const change = (changes: Partial<Guards>) => {
    const before = guards;
    setGuards({ ...guards, ...changes });
    edit([{ kind: "set-section", section: "tun", values: { ...changes } }]).catch((error: unknown) => {
      setGuards(before);
      toastFailure(error);
    });
  };
  return (
    <Card title={text.protection}>
      <SettingRow label={text.killSwitch} hint={text.killSwitchHint}>
        {(ids) => (
          <Switch
            {...ids}
            checked={guards.block_when_disconnected}
            onChange={(on) => change({ block_when_disconnected: on })}
          />
        )}
      </SettingRow>
      <SettingRow label={text.dns} hint={text.dnsHint}>
        {({ labelledBy, describedBy }) => (
          <div className={styles["select"]}>
            <Select
              aria-labelledby={labelledBy}
              aria-describedby={describedBy}
              value={guards.dns}
              onChange={({ target }) => change({ dns: target.value as DnsMode })}
            >
              {dnsModes.map((mode) => (
                <option key={mode} value={mode}>
                  {text.dnsModes[mode]}
                </option>
              ))}
            </Select>
          </div>
        )}
      </SettingRow>
    </Card>
  );
}

function guardsOf(config: Readonly<Record<string, unknown>> | undefined): Guards {
  const tun = (config?.["tun"] ?? {}) as Readonly<Record<string, unknown>>;
  return {
    block_when_disconnected: tun["block_when_disconnected"] === true,
    dns: dnsModes.find((mode) => mode === tun["dns"]) ?? "off",
  };
}
