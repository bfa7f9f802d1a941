import type { ConfigDocument } from "@sockeye/engine/control/contract";
import { CircleHelp } from "lucide-react";
import { useEffect, useState } from "react";
import { call, useEngine } from "../../engine/engine.ts";
import { failureText } from "../../i18n/failure.ts";
import { problemText } from "../../i18n/problem.ts";
import { useText } from "../../i18n/text.ts";
import { Button } from "../../ui/button.tsx";
import { Dialog } from "../../ui/dialog.tsx";
import { Empty, Notice, Skeleton } from "../../ui/surface.tsx";
import { EditorForm } from "./editor-form.tsx";
import { duplicateOf, emptyForm, formOf, freeName, type UpstreamForm } from "./form.ts";

export interface EditorProps {
  /** The upstream to change. */
  readonly name?: string;
  /** Without a name: the one to begin from. */
  readonly duplicateOf?: string;
  /** @param saved under which name. */
  readonly onClose: (saved?: string) => void;
}

type Loaded =
  | { readonly state: "loading" }
  | { readonly state: "ready"; readonly before: UpstreamForm | undefined; readonly start: UpstreamForm }
  | { readonly state: "gone"; readonly name: string }
  | { readonly state: "unreadable"; readonly document: ConfigDocument }
  | { readonly state: "failed"; readonly error: unknown };

/** An engine that answers sooner, as it nearly always does, is not worth a look at an empty form. */
const SLOW_MS = 300;

/** One upstream, at the side of the list. */
export function Editor({ name, duplicateOf: source, onClose }: EditorProps) {
  const text = useText();
  const words = text.upstreams.editor;
  const names = useEngine((state) => state.upstreams).map((one) => one.name);
  const wanted = name ?? source;
  const [loaded, setLoaded] = useState<Loaded>(() =>
    wanted === undefined ? { state: "ready", before: undefined, start: emptyForm } : { state: "loading" },
  );

  useEffect(() => {
    if (wanted === undefined) return undefined;
    let gone = false;
    load(wanted, name === undefined, names).then(
      (answer) => {
        if (!gone) setLoaded(answer);
      },
      (error: unknown) => {
        if (!gone) setLoaded({ state: "failed", error });
      },
    );
    return () => {
      gone = true;
    };
    // It begins from what the configuration says when it is opened.
  }, [wanted, name]);

  const [slow, setSlow] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setSlow(true), SLOW_MS);
    return () => clearTimeout(timer);
  }, []);

  const close = () => onClose();
  const title = name === undefined ? words.newTitle : words.editTitle(name);
  const foot = <Button onClick={close}>{text.common.close}</Button>;
  switch (loaded.state) {
    case "ready":
      return (
        <EditorForm
          draftKey={name === undefined ? `new/${source ?? ""}` : `./${name}`}
          title={title}
          before={loaded.before}
          start={loaded.start}
          onClose={onClose}
        />
      );
    case "loading":
      if (!slow) return null;
      return (
        <Dialog title={title} shape="side" onClose={close} foot={foot}>
          <span className="visually-hidden" role="status">
            {text.common.loading}
          </span>
          {["2rem", "3.5rem", "3.5rem", "3.5rem", "3.5rem"].map((height, index) => (
            <Skeleton key={index} height={height} />
          ))}
        </Dialog>
      );
    case "gone":
      return (
        <Dialog title={title} shape="side" onClose={close} foot={foot}>
          <Empty icon={<CircleHelp />} title={words.gone}>
            {words.goneWhy(loaded.name)}
          </Empty>
        </Dialog>
      );
    case "unreadable":
      return (
        <Dialog title={title} shape="side" onClose={close} foot={foot}>
          <Notice kind="bad">
            <strong>{words.unreadable}.</strong> {words.unreadableWhy}
            <ul>
              {loaded.document.problems.map((problem, index) => (
                <li key={index}>
                  {problemText(text, problem)} ({text.common.editing.line(problem.line)})
                </li>
              ))}
            </ul>
          </Notice>
        </Dialog>
      );
    case "failed":
      return (
        <Dialog title={title} shape="side" onClose={close} foot={foot}>
          <Notice kind="bad">{failureText(text, loaded.error)}</Notice>
        </Dialog>
      );
  }
}

async function load(wanted: string, copy: boolean, names: readonly string[]): Promise<Loaded> {
  const document = await call("config.read", {});
  if (!document.config) return { state: "unreadable", document };
  const upstreams = (document.config["upstreams"] ?? {}) as Record<string, Record<string, unknown>>;
  const found = Object.hasOwn(upstreams, wanted) ? upstreams[wanted] : undefined;
  if (!found) return { state: "gone", name: wanted };
  const form = formOf(wanted, found);
  if (copy) return { state: "ready", before: undefined, start: duplicateOf(form, freeName(wanted, names)) };
  return { state: "ready", before: form, start: form };
}
