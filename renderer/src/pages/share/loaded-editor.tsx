import { CircleHelp } from "lucide-react";
import { type ReactNode, useEffect, useState } from "react";
import { failureText } from "../../i18n/failure.ts";
import { useText } from "../../i18n/text.ts";
import { Button } from "../../ui/button.tsx";
import { Dialog } from "../../ui/dialog.tsx";
import { Empty, Notice } from "../../ui/surface.tsx";

interface LoadedEditorProps<Loaded> {
  readonly title: string;
  /** What is edited; undefined for something new. */
  readonly name: string | undefined;
  /** Reads what the configuration says when the editor is opened. */
  readonly load: (name: string | undefined) => Promise<Loaded>;
  /** Whether there is something of that name. */
  readonly isThere: (loaded: Loaded) => boolean;
  /** What is said where there is not. */
  readonly goneWords: { readonly gone: string; readonly goneWhy: (name: string) => string };
  readonly onClose: () => void;
  readonly children: (loaded: Loaded) => ReactNode;
}

/** An editor at the side of the list, once the configuration was read; or why there is none. */
export function LoadedEditor<Loaded>({
  title,
  name,
  load,
  isThere,
  goneWords,
  onClose,
  children,
}: LoadedEditorProps<Loaded>) {
  const text = useText();
  const [answer, setAnswer] = useState<{ readonly loaded: Loaded } | { readonly failure: unknown }>();
  useEffect(() => {
    let gone = false;
    load(name).then(
      (loaded) => {
        if (!gone) setAnswer({ loaded });
      },
      (failure: unknown) => {
        if (!gone) setAnswer({ failure });
      },
    );
    return () => {
      gone = true;
    };
  }, [name, load]);
  if (answer === undefined) return null;
  if ("loaded" in answer && (name === undefined || isThere(answer.loaded))) return children(answer.loaded);
  return (
    <Dialog
      title={title}
      shape="side"
      onClose={onClose}
      foot={<Button onClick={onClose}>{text.common.close}</Button>}
    >
      {"failure" in answer ? (
        <Notice kind="bad">{failureText(text, answer.failure)}</Notice>
      ) : (
        <Empty icon={<CircleHelp />} title={goneWords.gone}>
          {goneWords.goneWhy(name ?? "")}
        </Empty>
      )}
    </Dialog>
  );
}
