import type { FlowRow } from "@sockeye/engine/control/contract";
import { Cable, SearchX } from "lucide-react";
import { useDeferredValue, useState } from "react";
import { call, useEngine } from "../../engine/engine.ts";
import { useFormat, useText } from "../../i18n/text.ts";
import { Button } from "../../ui/button.tsx";
import { Dialog } from "../../ui/dialog.tsx";
import { SearchInput, Select } from "../../ui/field.tsx";
import { Segmented } from "../../ui/segmented.tsx";
import { Empty, Page } from "../../ui/surface.tsx";
import { toast, toastFailure } from "../../ui/toast.tsx";
import styles from "./connections.module.css";
import { FlowDetails } from "./details.tsx";
import { FlowTable } from "./table.tsx";
import { type FlowQuery, useFlowWindow } from "./flow-window.ts";

const everything: FlowQuery = {
  text: "",
  upstream: "",
  ended: false,
  sort: { by: "age", descending: false },
};

export function ConnectionsPage() {
  const text = useText();
  const format = useFormat();
  const flows = useEngine((state) => state.status?.flows);
  const off = useEngine((state) => state.status?.connection.state === "off");
  const names = useEngine((state) => state.upstreams);
  const [query, setQuery] = useState(everything);
  const change = (changes: Partial<FlowQuery>) => setQuery({ ...query, ...changes });
  const shown = useFlowWindow({ ...query, text: useDeferredValue(query.text) });
  const [open, setOpen] = useState<FlowRow>();
  const [asking, setAsking] = useState(false);

  const close = async (which: "all" | number[]) => {
    try {
      const { closed } = await call("flows.close", { flows: which });
      toast({ message: text.connections.closed(closed) });
    } catch (error) {
      toastFailure(error);
    }
  };
  const filtered = query.text !== "" || query.upstream !== "";

  return (
    <Page
      layout="filled"
      title={text.connections.title}
      subtitle={text.connections.subtitle(
        format.number(flows?.active ?? 0),
        format.number(flows?.total ?? 0),
      )}
      actions={
        <Button kind="danger" disabled={(flows?.active ?? 0) === 0} onClick={() => setAsking(true)}>
          {text.connections.closeAll}
        </Button>
      }
    >
      <div className={styles["toolbar"]}>
        <SearchInput
          label={text.connections.search}
          value={query.text}
          maxLength={255}
          onChange={({ target }) => change({ text: target.value })}
        />
        <div className={styles["select"]}>
          <Select
            aria-label={text.connections.upstream}
            value={query.upstream}
            onChange={({ target }) => change({ upstream: target.value })}
          >
            <option value="">{text.connections.everyUpstream}</option>
            {names.map(({ name }) => (
              <option key={name} value={name}>
                {name === "direct" ? text.common.direct : name}
              </option>
            ))}
            <option value="block">{text.common.block}</option>
          </Select>
        </div>
        <Segmented
          label={text.connections.which}
          value={query.ended ? "ended" : "open"}
          options={[
            { value: "open", label: text.connections.open },
            { value: "ended", label: text.connections.withEnded },
          ]}
          onChange={(value) => change({ ended: value === "ended" })}
        />
      </div>
      <FlowTable
        shown={shown}
        sort={query.sort}
        onSort={(sort) => change({ sort })}
        onOpen={setOpen}
        onClose={(flow) => void close([flow.id])}
        empty={
          filtered ? (
            <Empty
              icon={<SearchX />}
              title={text.connections.nothingMatches}
              action={
                <Button onClick={() => change({ text: "", upstream: "" })}>{text.connections.clear}</Button>
              }
            >
              {text.connections.nothingMatchesText}
            </Empty>
          ) : (
            <Empty icon={<Cable />} title={text.connections.empty}>
              {off ? text.connections.emptyOff : text.connections.emptyText}
            </Empty>
          )
        }
      />
      {open && (
        <FlowDetails
          known={open}
          now={shown.rows.find(({ id }) => id === open.id)}
          onLeave={() => setOpen(undefined)}
          onClose={(flow) => void close([flow.id])}
        />
      )}
      {asking && (
        <Dialog
          title={text.connections.closeAllTitle(flows?.active ?? 0, format.number(flows?.active ?? 0))}
          onClose={() => setAsking(false)}
          onSubmit={() => {
            setAsking(false);
            void close("all");
          }}
          foot={
            <>
              <Button onClick={() => setAsking(false)}>{text.common.cancel}</Button>
              <Button kind="danger" submit>
                {text.connections.closeAll}
              </Button>
            </>
          }
        >
          <p>{text.connections.closeAllText}</p>
        </Dialog>
      )}
    </Page>
  );
}
