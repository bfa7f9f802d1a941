import type { ImportedUpstream } from "@sockeye/engine/control/contract";
import { ClipboardPaste, FileUp } from "lucide-react";
import { useEffect, useState } from "react";
import { callShell, openText, shell } from "../../desktop/shell.ts";
import { edit, undo } from "../../engine/edit.ts";
import { failureText } from "../../i18n/failure.ts";
import { useText } from "../../i18n/text.ts";
import { Button } from "../../ui/button.tsx";
import { Choices } from "../../ui/choice.tsx";
import { Dialog } from "../../ui/dialog.tsx";
import { Field, TextArea } from "../../ui/field.tsx";
import { Segmented } from "../../ui/segmented.tsx";
import { Notice } from "../../ui/surface.tsx";
import { toast, toastFailure } from "../../ui/toast.tsx";
import { additionOf, canAsk, firstChoice, neededBy, secretsIn } from "./import-plan.ts";
import { Preview } from "./import-found.tsx";
import { type Source, useLinked, usePreview } from "./import-source.ts";
import { type Keeping, storeSecrets, useSecretSupport } from "./secrets.ts";
import styles from "./import.module.css";

type SourceName = "ssh" | "text" | "file";

/** As much as the contract carries. */
const MAX_TEXT = 900_000;

type Close = (imported?: readonly string[]) => void;

/** Upstreams from elsewhere. A link that is opened meanwhile waits for its turn: no preview changes under the pointer. */
export function ImportDialog({ onClose }: { readonly onClose: Close }) {
  const [turn, setTurn] = useState(0);
  const next: Close = (imported) => {
    if (useLinked.getState().text === undefined) onClose(imported);
    else setTurn(turn + 1);
  };
  return <Import key={turn} onClose={next} />;
}

/** Shown first, added only when the person says so. */
function Import({ onClose }: { readonly onClose: Close }) {
  const text = useText();
  const words = text.upstreams.transfer;
  const [linked] = useState(() => useLinked.getState().text);
  const [from, setFrom] = useState<SourceName>(linked === undefined ? "ssh" : "text");
  const [typed, setTyped] = useState(linked ?? "");
  const [file, setFile] = useState<{ readonly name: string; readonly text: string }>();
  const preview = usePreview(sourceOf(from, typed, file?.text));
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const [keep, setKeep] = useState<Exclude<Keeping, "keychain">>();
  const [submitted, setSubmitted] = useState(false);
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState<unknown>();
  const support = useSecretSupport();

  const another = useLinked((waiting) => waiting.text !== undefined && waiting.text !== linked);

  // Looked at once: the dialog has it from here on.
  useEffect(() => useLinked.setState({ text: undefined }), []);
  const found = preview.state === "read" ? preview.preview : undefined;
  useEffect(() => {
    setChosen(firstChoice(found?.upstreams ?? []));
    setFailure(undefined);
  }, [found]);

  const needed = neededBy(found?.upstreams ?? [], chosen);
  const wanted = (found?.upstreams ?? []).filter(({ name }) => chosen.has(name) || needed.has(name));
  const secretive = wanted.filter((one) => secretsIn(one).length > 0);
  const needsChoice = secretive.length > 0 && support?.keychain === false;

  const run = async () => {
    setSubmitted(true);
    if (wanted.length === 0 || (needsChoice && keep === undefined)) return;
    setBusy(true);
    setFailure(undefined);
    try {
      await add(wanted, support?.keychain === true ? "keychain" : (keep ?? "ask"), text);
      onClose(wanted.map(({ name }) => name));
    } catch (error) {
      setFailure(error);
      setBusy(false);
    }
  };

  return (
    <Dialog
      title={words.title}
      shape="wide"
      firm
      onClose={onClose}
      onSubmit={() => void run()}
      foot={
        <>
          <Button kind="quiet" onClick={() => onClose()}>
            {text.common.cancel}
          </Button>
          <Button kind="primary" submit busy={busy} disabled={wanted.length === 0}>
            {words.doImport(wanted.length)}
          </Button>
        </>
      }
    >
      {linked !== undefined && <Notice>{words.fromLink}</Notice>}
      {another && <Notice>{words.anotherLink}</Notice>}
      <div>
        <Segmented
          label={words.source}
          value={from}
          options={(["ssh", "text", "file"] as const).map((value) => ({
            value,
            label: words.sources[value],
          }))}
          onChange={setFrom}
        />
      </div>
      {from === "text" && <TextSource value={typed} onChange={setTyped} />}
      {from === "file" && <FileSource name={file?.name} onChosen={setFile} />}
      <Preview
        state={preview}
        chosen={chosen}
        needed={needed}
        onToggle={(name) => {
          const next = new Set(chosen);
          if (!next.delete(name)) next.add(name);
          setChosen(next);
        }}
      />
      {needsChoice && (
        <Notice kind="warn">
          <p>{text.upstreams.editor.secret.noKeychain(support.reason)}</p>
          <Choices
            label={words.keep}
            value={keep}
            onChange={setKeep}
            error={submitted && keep === undefined ? text.upstreams.editor.secret.choose : undefined}
            options={[
              {
                value: "ask",
                label: text.upstreams.editor.secret.ask,
                hint: secretive.every(canAsk) ? undefined : words.askUnavailable,
              },
              {
                value: "file",
                label: text.upstreams.editor.secret.file,
                hint: text.upstreams.editor.secret.fileHint,
              },
            ]}
          />
        </Notice>
      )}
      {failure !== undefined && <Notice kind="bad">{failureText(text, failure)}</Notice>}
    </Dialog>
  );
}

function sourceOf(from: SourceName, typed: string, file: string | undefined): Source {
  switch (from) {
    case "ssh":
      return { kind: "ssh-config" };
    case "text":
      return { kind: "text", text: typed };
    case "file":
      return file === undefined ? undefined : { kind: "text", text: file };
  }
}

async function add(
  wanted: readonly ImportedUpstream[],
  where: Keeping,
  text: ReturnType<typeof useText>,
): Promise<void> {
  const edits = [];
  for (const one of wanted) {
    edits.push(additionOf(one, await storeSecrets(one.name, secretsIn(one), where)));
  }
  const written = await edit(edits);
  toast({
    message: text.upstreams.transfer.imported(wanted.length),
    action: {
      label: text.common.undo,
      run: () => void undo(written).catch(toastFailure),
    },
  });
}

function TextSource({
  value,
  onChange,
}: {
  readonly value: string;
  readonly onChange: (text: string) => void;
}) {
  const words = useText().upstreams.transfer;
  const paste = async () => {
    try {
      onChange(shell ? (await callShell("clipboard.read", {})).text : await navigator.clipboard.readText());
    } catch {
      toast({ message: words.pasteRefused, bad: true });
    }
  };
  return (
    <div className={styles["source"]}>
      <Field label={words.text}>
        {(control) => (
          <TextArea
            {...control}
            data-first-focus
            rows={5}
            value={value}
            maxLength={MAX_TEXT}
            placeholder={words.textPlaceholder}
            onChange={({ target }) => onChange(target.value)}
          />
        )}
      </Field>
      <Button icon={<ClipboardPaste size={15} />} onClick={() => void paste()}>
        {words.paste}
      </Button>
    </div>
  );
}

function FileSource({
  name,
  onChosen,
}: {
  readonly name: string | undefined;
  readonly onChosen: (file: { readonly name: string; readonly text: string }) => void;
}) {
  const words = useText().upstreams.transfer;
  const choose = async () => {
    try {
      const file = await openText(MAX_TEXT);
      if (file) onChosen(file);
    } catch (error) {
      toastFailure(error);
    }
  };
  return (
    <div className={styles["file"]}>
      <Button icon={<FileUp size={15} />} onClick={() => void choose()}>
        {words.choose}
      </Button>
      <span>{name === undefined ? "" : words.chosen(name)}</span>
    </div>
  );
}
