import type { ShareList } from "@sockeye/engine/control/contract";
import { Plus, Radio } from "lucide-react";
import { useState } from "react";
import { edit, undo } from "../../engine/edit.ts";
import { useText } from "../../i18n/text.ts";
import { Button } from "../../ui/button.tsx";
import { Confirm } from "../../ui/confirm.tsx";
import { Card, Empty, Page, Skeleton } from "../../ui/surface.tsx";
import { toast, toastFailure } from "../../ui/toast.tsx";
import { ShareEditor } from "./editor.tsx";
import { Inspector } from "./inspector.tsx";
import { goShares, placeOf } from "./place.ts";
import { QrDialog } from "./qr-dialog.tsx";
import { RelayEditor } from "./relay-editor.tsx";
import { Relays } from "./relays.tsx";
import { ShareRow } from "./row.tsx";
import styles from "./share.module.css";
import { useShares } from "./shares.ts";

export function SharePage({ rest }: { readonly rest: string }) {
  const list = useShares();
  const place = placeOf(rest);
  if (place.kind === "requests")
    return (
      <Inspector
        key={place.name}
        name={place.name}
        request={place.request}
        share={list?.shares.find(({ name }) => name === place.name)}
        known={list !== undefined}
      />
    );
  return (
    <Overview list={list}>
      {place.kind === "new" && <ShareEditor onClose={toList} />}
      {place.kind === "relay" && <RelayEditor key={place.name ?? ""} name={place.name} onClose={toList} />}
      {place.kind === "edit" && <ShareEditor key={place.name} name={place.name} onClose={toList} />}
    </Overview>
  );
}

const toList = () => goShares({ kind: "list" });

function Overview({
  list,
  children,
}: {
  readonly list: ShareList | undefined;
  readonly children: React.ReactNode;
}) {
  const text = useText().share;
  const [qr, setQr] = useState<string>();
  const [deleting, setDeleting] = useState<string>();
  const add = (
    <Button kind="primary" icon={<Plus size={15} />} onClick={() => goShares({ kind: "new" })}>
      {text.add}
    </Button>
  );
  const shown = list?.shares.find(({ name }) => name === qr);
  return (
    <Page title={text.title} subtitle={text.subtitle} actions={add}>
      <div className={styles["lists"]}>
        {list === undefined ? (
          <Card bare>
            <div className={styles["loading"]}>
              <Skeleton height="3.5rem" />
              <Skeleton height="3.5rem" />
            </div>
          </Card>
        ) : list.shares.length === 0 ? (
          <Card>
            <Empty icon={<Radio />} title={text.empty}>
              {text.emptyWhy}
            </Empty>
          </Card>
        ) : (
          <Card bare>
            <ul aria-label={text.list}>
              {list.shares.map((share) => (
                <ShareRow key={share.name} share={share} onQr={setQr} onDelete={setDeleting} />
              ))}
            </ul>
          </Card>
        )}
        {list !== undefined && <Relays list={list} />}
      </div>
      {shown?.addresses[0] !== undefined && (
        <QrDialog name={shown.name} address={shown.addresses[0]} onClose={() => setQr(undefined)} />
      )}
      {deleting !== undefined && <Deletion name={deleting} onDone={() => setDeleting(undefined)} />}
      {children}
    </Page>
  );
}

function Deletion({ name, onDone }: { readonly name: string; readonly onDone: () => void }) {
  const text = useText();
  const [busy, setBusy] = useState(false);
  const remove = async () => {
    setBusy(true);
    try {
      const written = await edit([{ kind: "delete-share", name }]);
      const back = () => void undo(written).then(() => toast({ message: text.share.restored }), toastFailure);
      toast({ message: text.share.removed(name), action: { label: text.common.undo, run: back } });
    } catch (error) {
      toastFailure(error);
    }
    onDone();
  };
  return (
    <Confirm
      title={text.share.removeTitle(name)}
      yes={text.share.remove}
      danger
      busy={busy}
      onNo={onDone}
      onYes={() => void remove()}
    >
      <p>{text.share.removeWhy}</p>
    </Confirm>
  );
}
