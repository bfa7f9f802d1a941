import type { RelayInfo, ShareList } from "@sockeye/engine/control/contract";
import { Plus, Trash2 } from "lucide-react";
import { edit, undo } from "../../engine/edit.ts";
import { useText } from "../../i18n/text.ts";
import { Badge } from "../../ui/badge.tsx";
import { Button, IconButton } from "../../ui/button.tsx";
import { type MarkState, StateMark } from "../../ui/state-mark.tsx";
import { Card } from "../../ui/surface.tsx";
import { toast, toastFailure } from "../../ui/toast.tsx";
import { goShares, linkToShares } from "./place.ts";
import styles from "./share.module.css";

const markOf: Readonly<Record<RelayInfo["state"]["state"], MarkState>> = {
  off: "off",
  connecting: "connecting",
  live: "connected",
  reconnecting: "connecting",
  refused: "trouble",
};

/** The relays that shares go through. One is added here, or with the first share that wants it. */
export function Relays({ list }: { readonly list: ShareList }) {
  const text = useText();
  const words = text.share;
  const remove = async (name: string) => {
    try {
      const written = await edit([{ kind: "delete-relay", name }]);
      const back = () => void undo(written).then(() => toast({ message: words.restored }), toastFailure);
      toast({ message: words.removed(name), action: { label: text.common.undo, run: back } });
    } catch (error) {
      toastFailure(error);
    }
  };
  return (
    <section aria-labelledby="relays">
      <div className={styles["relaysHead"]}>
        <h2 id="relays" className={styles["relaysTitle"]}>
          {words.relays}
        </h2>
        <Button
          kind="quiet"
          icon={<Plus size={15} />}
          onClick={() => goShares({ kind: "relay", name: undefined })}
        >
          {words.addRelay}
        </Button>
      </div>
      {list.relays.length === 0 ? (
        <p className={styles["noRelays"]}>{words.noRelays}</p>
      ) : (
        <Card bare>
          <ul>
            {list.relays.map(({ name, address, tls, state }) => {
              const used = list.shares.filter(({ relay }) => relay === name).length;
              return (
                <li key={name} className={styles["relay"]}>
                  <div className={styles["identity"]}>
                    <div className={styles["name"]}>
                      <a href={linkToShares({ kind: "relay", name })}>{name}</a>
                      <Badge>{tls ? words.relayTls : words.relayPlain}</Badge>
                    </div>
                    <div className={styles["target"]}>
                      {address}
                      {used > 0 && <span>{words.relayUsed(used)}</span>}
                    </div>
                  </div>
                  <div className={styles["state"]}>
                    <StateMark state={markOf[state.state]} />
                    {words.relayStates[state.state]}
                  </div>
                  <IconButton
                    label={used > 0 ? words.relayInUse : words.removeRelay(name)}
                    icon={<Trash2 size={15} />}
                    disabled={used > 0}
                    onClick={() => void remove(name)}
                  />
                </li>
              );
            })}
          </ul>
        </Card>
      )}
    </section>
  );
}
