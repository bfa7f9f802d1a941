import { Download, Plus, Server, Upload } from "lucide-react";
import { useState } from "react";
import { saveText } from "../../desktop/shell.ts";
import { call, useEngine } from "../../engine/engine.ts";
import { useText } from "../../i18n/text.ts";
import { go } from "../../shell/pages.ts";
import { announce } from "../../ui/announce.tsx";
import { Button } from "../../ui/button.tsx";
import { moved, useRowOrder } from "../../ui/row-order.ts";
import { Card, Empty, Page } from "../../ui/surface.tsx";
import { toast, toastFailure } from "../../ui/toast.tsx";
import { Deletion } from "./deletion.tsx";
import { DirectRow } from "./direct-row.tsx";
import { Editor } from "./editor.tsx";
import { ImportDialog } from "./import-dialog.tsx";
import { goUpstreams, placeOf, type UpstreamsPlace } from "./place.ts";
import { UpstreamRow } from "./row.tsx";
import { useOrder } from "./order.ts";
import styles from "./upstreams.module.css";

const EXPORT_FILE = "sockeye-upstreams.yaml";

export function UpstreamsPage({ rest }: { readonly rest: string }) {
  const text = useText().upstreams;
  const anyUpstream = useEngine((state) => state.upstreams.some(({ type }) => type !== "direct"));
  const toList = () => goUpstreams({ kind: "list" });
  return (
    <Page
      title={text.title}
      subtitle={text.subtitle}
      actions={
        <>
          {anyUpstream && (
            <Button kind="quiet" icon={<Download size={15} />} onClick={() => void exportAll(text)}>
              {text.export}
            </Button>
          )}
          <Button icon={<Upload size={15} />} onClick={() => goUpstreams({ kind: "import" })}>
            {text.import}
          </Button>
          <Button kind="primary" icon={<Plus size={15} />} onClick={() => goUpstreams({ kind: "new" })}>
            {text.add}
          </Button>
        </>
      }
    >
      {anyUpstream ? <List /> : <NoUpstream />}
      <Over place={placeOf(rest)} onClose={toList} />
    </Page>
  );
}

function List() {
  const text = useText().upstreams;
  const upstreams = useEngine((state) => state.upstreams);
  const { names, reorder } = useOrder();
  const [deleting, setDeleting] = useState<string>();
  const move = (from: number, to: number) => {
    reorder(moved(names, from, to)).catch(toastFailure);
    announce(text.moved(names[from] ?? "", to + 1, names.length));
  };
  const order = useRowOrder(names.length, move);
  return (
    <div className={styles["lists"]}>
      <Card bare>
        <ul className={styles["list"]} aria-label={text.list}>
          {names.map((name, index) => {
            const upstream = upstreams.find((one) => one.name === name);
            return (
              upstream && (
                <UpstreamRow
                  key={name}
                  upstream={upstream}
                  index={index}
                  count={names.length}
                  order={order}
                  onMove={move}
                  onDelete={setDeleting}
                />
              )
            );
          })}
        </ul>
      </Card>
      <DirectRow />
      {deleting !== undefined && <Deletion name={deleting} onDone={() => setDeleting(undefined)} />}
    </div>
  );
}

function NoUpstream() {
  const text = useText().upstreams;
  return (
    <div className={styles["lists"]}>
      <Card>
        <Empty
          icon={<Server />}
          title={text.empty}
          action={<Button onClick={() => go("home", "first-run")}>{text.begin}</Button>}
        >
          {text.emptyWhy}
        </Empty>
      </Card>
      <DirectRow />
    </div>
  );
}

function Over({ place, onClose }: { readonly place: UpstreamsPlace; readonly onClose: () => void }) {
  switch (place.kind) {
    case "list":
      return null;
    case "import":
      return <ImportDialog onClose={onClose} />;
    case "new":
      return <Editor key="new" onClose={onClose} />;
    case "duplicate":
      return <Editor key={`new/${place.of}`} duplicateOf={place.of} onClose={onClose} />;
    case "edit":
      return <Editor key={`./${place.name}`} name={place.name} onClose={onClose} />;
  }
}

async function exportAll(text: ReturnType<typeof useText>["upstreams"]): Promise<void> {
  try {
    const { text: yaml } = await call("export", {});
    if (await saveText(EXPORT_FILE, yaml)) toast({ message: text.exported });
  } catch (error) {
    toastFailure(error);
  }
}
