import { ControlError } from "@sockeye/engine/control/control-error";
import { useEffect, useState } from "react";
import { edit } from "../../engine/edit.ts";
import { call } from "../../engine/engine.ts";
import { problemText } from "../../i18n/problem.ts";
import { useText } from "../../i18n/text.ts";
import { Button } from "../../ui/button.tsx";
import { Field, TextInput } from "../../ui/field.tsx";
import { Card, Skeleton } from "../../ui/surface.tsx";
import { toast, toastFailure } from "../../ui/toast.tsx";
import styles from "./settings.module.css";

const kinds = ["socks5", "http", "metrics"] as const;
type Kind = (typeof kinds)[number];
type Addresses = Readonly<Record<Kind, string>>;

/** Where programs on this machine reach the engine. */
export function ListenerSettings() {
  const text = useText();
  const [saved, setSaved] = useState<{ addresses: Addresses; withAuth: ReadonlySet<Kind> }>();
  const [draft, setDraft] = useState<Addresses>();
  const [problems, setProblems] = useState<Partial<Record<Kind, string>>>({});
  const [busy, setBusy] = useState(false);
  useEffect(() => {
    call("config.read", {}).then(({ config }) => setSaved(listenersOf(config)), toastFailure);
  }, []);
  if (!saved) return <Skeleton height="10rem" />;
  const shown = draft ?? saved.addresses;
  const changed = kinds.filter((kind) => shown[kind].trim() !== saved.addresses[kind]);

  const save = async () => {
    setBusy(true);
    setProblems({});
    try {
      await edit(
        changed.map((listener) => {
          const address = shown[listener].trim();
          // A listener with a username keeps it: only its address is named.
          const value = address === "" ? null : saved.withAuth.has(listener) ? { address } : address;
          return { kind: "set-listen", listener, value };
        }),
      );
      setSaved({ ...saved, addresses: shown });
      setDraft(undefined);
      toast({ message: text.settings.fileSaved });
    } catch (error) {
      const found = error instanceof ControlError ? (error.problems ?? []) : [];
      const named = kinds.flatMap((kind) => {
        const problem = found.find(({ path }) => path.startsWith(`listen.${kind}`));
        return problem ? [[kind, problemText(text, problem)] as const] : [];
      });
      if (named.length > 0) setProblems(Object.fromEntries(named));
      else toastFailure(error);
    } finally {
      setBusy(false);
    }
  };

  return (
    <Card title={text.settings.listeners}>
      <p className={styles["soft"]}>{text.settings.listenersHint}</p>
      <form
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          void save();
        }}
      >
        <div className={styles["listeners"]}>
          {kinds.map((kind) => (
            <Field
              key={kind}
              label={text.settings.listener[kind]}
              hint={saved.withAuth.has(kind) ? text.settings.listenerAuth : undefined}
              error={problems[kind]}
            >
              {(control) => (
                <TextInput
                  {...control}
                  mono
                  maxLength={255}
                  placeholder={text.common.none}
                  value={shown[kind]}
                  onChange={({ target }) => {
                    setProblems({});
                    setDraft({ ...shown, [kind]: target.value });
                  }}
                />
              )}
            </Field>
          ))}
        </div>
        {changed.length > 0 && (
          <div className={styles["foot"]}>
            <span />
            <Button onClick={() => setDraft(undefined)}>{text.common.cancel}</Button>
            <Button kind="primary" submit busy={busy}>
              {text.common.save}
            </Button>
          </div>
        )}
      </form>
    </Card>
  );
}

function listenersOf(config: Readonly<Record<string, unknown>> | undefined) {
  const listen = (config?.["listen"] ?? {}) as Readonly<Record<string, unknown>>;
  const withAuth = new Set<Kind>();
  const addresses = { socks5: "", http: "", metrics: "" };
  for (const kind of kinds) {
    const value = listen[kind];
    if (typeof value === "string") addresses[kind] = value;
    else if (typeof value === "object" && value !== null && "address" in value) {
      addresses[kind] = String(value.address);
      if ("auth" in value) withAuth.add(kind);
    }
  }
  return { addresses, withAuth };
}
