import type { NetworkOverlap } from "@sockeye/engine/control/contract";
import { ControlError } from "@sockeye/engine/control/control-error";
import { useEffect, useState } from "react";
import { edit } from "../../engine/edit.ts";
import { call, useEngine } from "../../engine/engine.ts";
import { failureText } from "../../i18n/failure.ts";
import { problemText } from "../../i18n/problem.ts";
import { useText } from "../../i18n/text.ts";
import { Button } from "../../ui/button.tsx";
import { Field, TextArea } from "../../ui/field.tsx";
import { SettingRow, Switch } from "../../ui/switch.tsx";
import { Card, Notice, Skeleton } from "../../ui/surface.tsx";
import { toast, toastFailure } from "../../ui/toast.tsx";
import styles from "./routes.module.css";

const PREFLIGHT_DELAY_MS = 400;

interface Networks {
  readonly cidrs: string;
  readonly exclude: string;
}

/** What TUN mode captures and what it leaves alone, with what this machine uses already. */
export function CapturedNetworks() {
  const text = useText();
  const enabled = useEngine((state) => state.status?.tunEnabled ?? false);
  const [saved, setSaved] = useState<Networks>();
  const [draft, setDraft] = useState<Networks>();
  const [overlaps, setOverlaps] = useState<readonly NetworkOverlap[]>([]);
  const [problems, setProblems] = useState<Partial<Record<keyof Networks, string>>>({});
  const [busy, setBusy] = useState(false);
  const shown = draft ?? saved;

  useEffect(() => {
    call("config.read", {}).then(({ config }) => setSaved(networksOf(config)), toastFailure);
  }, []);
  useEffect(() => {
    if (!shown) return undefined;
    const timer = setTimeout(() => {
      // A network that is not written yet to its end: what is wrong is told when it is saved.
      call("tun.preflight", { cidrs: linesOf(shown.cidrs), exclude: linesOf(shown.exclude) }).then(
        (found) => setOverlaps(found.overlaps),
        () => setOverlaps([]),
      );
    }, PREFLIGHT_DELAY_MS);
    return () => clearTimeout(timer);
  }, [shown]);

  const change = (changes: Partial<Networks>) => {
    if (!shown) return;
    setProblems({});
    setDraft({ ...shown, ...changes });
  };
  const save = async () => {
    if (!draft) return;
    setBusy(true);
    try {
      const values = { cidrs: linesOf(draft.cidrs), exclude: linesOf(draft.exclude) };
      await edit([{ kind: "set-section", section: "tun", values }]);
      setSaved(draft);
      setDraft(undefined);
      toast({ message: text.routes.saved });
    } catch (error) {
      const found = error instanceof ControlError ? (error.problems ?? []) : [];
      const about = (key: keyof Networks) => {
        const problem = found.find(({ path }) => path.startsWith(`tun.${key}`));
        return problem && problemText(text, problem);
      };
      const [cidrs, exclude] = [about("cidrs"), about("exclude")];
      if (cidrs === undefined && exclude === undefined) toastFailure(error);
      else setProblems({ ...(cidrs !== undefined && { cidrs }), ...(exclude !== undefined && { exclude }) });
    } finally {
      setBusy(false);
    }
  };

  return (
    <Card title={text.routes.capture}>
      <p className={styles["soft"]}>{text.routes.captureHint}</p>
      <SettingRow label={text.routes.tun} hint={enabled ? text.routes.tunHint : text.routes.captureOff}>
        {(ids) => (
          <Switch
            {...ids}
            checked={enabled}
            onChange={(on) => {
              edit([{ kind: "set-section", section: "tun", values: { enabled: on } }]).catch(toastFailure);
            }}
          />
        )}
      </SettingRow>
      {shown ? (
        <form
          noValidate
          onSubmit={(event) => {
            event.preventDefault();
            void save();
          }}
        >
          <div className={styles["networks"]}>
            {(["cidrs", "exclude"] as const).map((key) => (
              <Field
                key={key}
                label={text.routes[key]}
                hint={key === "cidrs" ? text.routes.cidrsHint : text.routes.excludeHint}
                error={problems[key]}
              >
                {(control) => (
                  <TextArea
                    {...control}
                    rows={4}
                    value={shown[key]}
                    onChange={({ target }) => change({ [key]: target.value })}
                  />
                )}
              </Field>
            ))}
          </div>
          {overlaps.length > 0 && (
            <div className={styles["overlaps"]}>
              <Notice kind="warn">
                <strong>{text.routes.overlaps}</strong>
                <ul>
                  {overlaps.map((one) => (
                    <li key={`${one.cidr} ${one.network} ${one.interface}`}>
                      {failureText(text, { code: `overlap-${one.kind}`, message: one.message })}
                    </li>
                  ))}
                </ul>
              </Notice>
            </div>
          )}
          <div className={styles["foot"]}>
            {draft && <Button onClick={() => setDraft(undefined)}>{text.common.cancel}</Button>}
            <Button kind="primary" submit busy={busy} disabled={!draft}>
              {text.routes.saveCapture}
            </Button>
          </div>
        </form>
      ) : (
        <Skeleton height="9rem" />
      )}
    </Card>
  );
}

function networksOf(config: Readonly<Record<string, unknown>> | undefined): Networks {
  const tun = config?.["tun"];
  const list = (key: string) => {
    const value = typeof tun === "object" && tun !== null ? (tun as Record<string, unknown>)[key] : undefined;
    return Array.isArray(value) ? value.map(String).join("\n") : "";
  };
  return { cidrs: list("cidrs"), exclude: list("exclude") };
}

function linesOf(text: string): string[] {
  return text
    .split(/[\s,]+/)
    .map((line) => line.trim())
    .filter(Boolean);
}
