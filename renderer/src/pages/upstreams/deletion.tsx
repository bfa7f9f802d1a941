import type { ConfigDocument } from "@sockeye/engine/control/contract";
import { useEffect, useState } from "react";
import { edit, undo } from "../../engine/edit.ts";
import { call, useEngine } from "../../engine/engine.ts";
import { useText } from "../../i18n/text.ts";
import { Confirm } from "../../ui/confirm.tsx";
import { Dialog } from "../../ui/dialog.tsx";
import { Button } from "../../ui/button.tsx";
import { Field, Select } from "../../ui/field.tsx";
import { toast, toastFailure } from "../../ui/toast.tsx";
import { deletionOf, referencesTo } from "./save.ts";
import styles from "./upstreams.module.css";

type Config = NonNullable<ConfigDocument["config"]>;

/**
 * Deletes an upstream, at once where nothing leads to it: that can be undone. Where something does, it asks what becomes of it,
 * so that no traffic takes another way unnoticed.
 */
export function Deletion({ name, onDone }: { readonly name: string; readonly onDone: () => void }) {
  const text = useText();
  const words = text.upstreams;
  const [config, setConfig] = useState<Config>();
  const [instead, setInstead] = useState("block");
  const [busy, setBusy] = useState(false);
  const others = useEngine((state) => state.upstreams).filter(
    (one) => one.name !== name && one.type !== "direct",
  );

  const remove = async (from: Config) => {
    setBusy(true);
    try {
      const written = await edit(deletionOf(from, name, instead));
      const back = () => undo(written).then(() => toast({ message: words.restored }), toastFailure);
      toast({ message: words.deleted(name), action: { label: text.common.undo, run: () => void back() } });
    } catch (error) {
      toastFailure(error);
    } finally {
      onDone();
    }
  };

  useEffect(() => {
    let gone = false;
    const begin = async () => {
      try {
        const { config: read = {} } = await call("config.read", {});
        if (gone) return;
        const { rules, isDefault, viaOf } = referencesTo(read, name);
        if (rules === 0 && !isDefault && viaOf.length === 0) await remove(read);
        else setConfig(read);
      } catch (error) {
        toastFailure(error);
        onDone();
      }
    };
    void begin();
    return () => {
      gone = true;
    };
    // It begins once, with the name that it was mounted for.
  }, [name]);

  if (!config) return null;
  const { rules, isDefault, viaOf } = referencesTo(config, name);
  if (viaOf.length > 0) {
    return (
      <Dialog
        title={words.deletion.viaTitle(name)}
        onClose={onDone}
        foot={<Button onClick={onDone}>{text.common.close}</Button>}
      >
        <p>{words.deletion.via(viaOf.join(", "))}</p>
      </Dialog>
    );
  }
  return (
    <Confirm
      title={words.deletion.title(name)}
      yes={words.remove}
      danger
      busy={busy}
      onNo={onDone}
      onYes={() => void remove(config)}
    >
      <div className={styles["choose"]}>
        <p>{words.deletion.uses(rules, isDefault)}</p>
        <Field label={words.deletion.instead} hint={words.deletion.insteadHint}>
          {(control) => (
            <Select {...control} value={instead} onChange={({ target }) => setInstead(target.value)}>
              <option value="block">{text.common.block}</option>
              <option value="direct">{text.common.direct}</option>
              {others.map((one) => (
                <option key={one.name} value={one.name}>
                  {one.name}
                </option>
              ))}
            </Select>
          )}
        </Field>
      </div>
    </Confirm>
  );
}
