import { ControlError } from "@sockeye/engine/control/control-error";
import { useState } from "react";
import { checkEdit, edit } from "../../engine/edit.ts";
import { call } from "../../engine/engine.ts";
import { useTestRun } from "../../engine/test-run.ts";
import { problemText } from "../../i18n/problem.ts";
import { useText } from "../../i18n/text.ts";
import { Button } from "../../ui/button.tsx";
import { Dialog } from "../../ui/dialog.tsx";
import { useClosing } from "../../ui/discarding.tsx";
import { Disclosure } from "../../ui/disclosure.tsx";
import { Field, TextInput } from "../../ui/field.tsx";
import { focusFirstInvalid } from "../../ui/focus-invalid.ts";
import { NotSaved } from "../../ui/not-saved.tsx";
import { toast } from "../../ui/toast.tsx";
import { SecretField } from "../upstreams/secret-field.tsx";
import { storeSecret, useSecretSupport } from "../upstreams/secrets.ts";
import { TestResult } from "../upstreams/test-result.tsx";
import { LoadedEditor } from "./loaded-editor.tsx";
import {
  checkRelay,
  emptyRelay,
  type ReadRelay,
  relayEditsOf,
  type RelayField,
  relayFieldOf,
  type RelayForm,
  relayFormOf,
  unsavedRelay,
} from "./relay-form.ts";
import styles from "./share.module.css";

export interface RelayEditorProps {
  /** The relay to change; without it a new one. */
  readonly name: string | undefined;
  readonly onClose: () => void;
}

interface Loaded {
  /** Undefined where there is no relay of that name, or where it is new. */
  readonly read: ReadRelay | undefined;
  /** Names of the others. */
  readonly taken: readonly string[];
}

/** One relay, at the side of the list: where it is, and how this machine proves who it is. It can be tested before it is saved. */
export function RelayEditor({ name, onClose }: RelayEditorProps) {
  const words = useText().share.relayEditor;
  return (
    <LoadedEditor
      title={name ?? words.newTitle}
      name={name}
      load={load}
      isThere={({ read }) => read !== undefined}
      goneWords={words}
      onClose={onClose}
    >
      {(loaded) => <EditorForm name={name} loaded={loaded} onClose={onClose} />}
    </LoadedEditor>
  );
}

async function load(name: string | undefined): Promise<Loaded> {
  const { config, problems } = await call("config.read", {});
  if (!config) throw new Error(problems[0]?.message ?? "");
  const relays = (config["relays"] ?? {}) as Record<string, ReadRelay>;
  return {
    read: name !== undefined && Object.hasOwn(relays, name) ? relays[name] : undefined,
    taken: Object.keys(relays).filter((one) => one !== name),
  };
}

function EditorForm({ name, loaded, onClose }: RelayEditorProps & { readonly loaded: Loaded }) {
  const text = useText();
  const words = text.share.relayEditor;
  const { read, taken } = loaded;
  const [before] = useState(() =>
    name === undefined || read === undefined ? undefined : relayFormOf(name, read),
  );
  const [start] = useState(() => before ?? { ...emptyRelay, name: taken.length === 0 ? "home" : "" });
  const [form, setForm] = useState(start);
  const [touched, setTouched] = useState<ReadonlySet<RelayField>>(new Set());
  const [submitted, setSubmitted] = useState(false);
  const [saving, setSaving] = useState(false);
  const [failure, setFailure] = useState<ControlError | Error>();
  const test = useTestRun("relay.test");
  const support = useSecretSupport();
  const errors = checkRelay(form, taken);
  const problems = failure instanceof ControlError ? (failure.problems ?? []) : [];
  const dirty = JSON.stringify(form) !== JSON.stringify(start);
  const prefix = `relays.${form.name.trim()}`;
  const isOwn = (path: string) => path === prefix || path.startsWith(`${prefix}.`);
  const errorOf = (field: RelayField): string | undefined => {
    const own = errors[field];
    if (own !== undefined) return submitted || touched.has(field) ? words.errors[own] : undefined;
    const problem = problems.find(({ path }) => isOwn(path) && relayFieldOf(path) === field);
    return problem && problemText(text, problem);
  };
  const change = (changes: Partial<RelayForm>) => {
    setFailure(undefined);
    test.clear();
    setForm({ ...form, ...changes });
  };
  const { close, question } = useClosing(dirty, onClose);
  const isRight = (): boolean => {
    setSubmitted(true);
    setFailure(undefined);
    if (Object.keys(errors).length === 0) return true;
    focusFirstInvalid();
    return false;
  };
  const save = async () => {
    if (!isRight()) return;
    setSaving(true);
    try {
      await apply(before, form, support?.keychain === true ? "keychain" : "file");
      toast({ message: text.share.editor[before ? "saved" : "added"](form.name.trim()) });
      onClose();
    } catch (error) {
      setFailure(error instanceof Error ? error : new Error(String(error)));
      setSaving(false);
      focusFirstInvalid();
    }
  };
  const startTest = () => {
    if (!isRight()) return;
    // Under the name that the configuration knows.
    test.start({
      name: before?.name ?? form.name.trim(),
      ...(dirty && { config: unsavedRelay(read, form) }),
    });
  };
  const input = (field: Exclude<RelayField, "token">, more: InputOptions = {}) => (
    <Field
      label={words.fields[field]}
      hint={more.hint}
      error={errorOf(field)}
      {...(more.optional === true && { note: text.common.optional })}
    >
      {(control) => (
        <TextInput
          {...control}
          value={form[field]}
          maxLength={1_024}
          mono={field !== "name"}
          placeholder={more.placeholder}
          data-first-focus={more.first === true || undefined}
          onChange={({ target }) => change({ [field]: target.value })}
          onBlur={() => {
            if (form[field] !== "") setTouched(new Set(touched).add(field));
          }}
        />
      )}
    </Field>
  );
  const testing = test.run?.state === "running";
  const inFile = form.token.kind === "typed" && form.token.text !== "" && support?.keychain === false;
  const more = [form.tls_ca_file, form.tls_cert_file].filter((file) => file !== "").length;
  const [open, setOpen] = useState(more > 0);
  const elsewhere = problems.filter(({ path }) => !isOwn(path) || relayFieldOf(path) === undefined);
  return (
    <Dialog
      title={name ?? words.newTitle}
      shape="side"
      firm
      onClose={close}
      onSubmit={() => void save()}
      tray={
        test.run && (
          <TestResult
            run={test.run}
            words={{ ...words.test, hints: { ...text.upstreams.test.hints, ...words.test.hints } }}
          />
        )
      }
      foot={
        <>
          <Button onClick={testing ? test.cancel : startTest}>{testing ? words.stop : words.testIt}</Button>
          <Button kind="quiet" onClick={close}>
            {text.common.cancel}
          </Button>
          <Button kind="primary" submit busy={saving} disabled={before !== undefined && !dirty}>
            {text.common.save}
          </Button>
        </>
      }
    >
      {input("name", { placeholder: "home", hint: words.nameHint, first: before === undefined })}
      {input("address", {
        placeholder: "relay.example.com",
        hint: text.share.editor.relayAddressHint,
        first: before !== undefined,
      })}
      <SecretField
        label={words.fields.token}
        hint={inFile ? text.share.editor.keptInFile : text.share.editor.tokenHint}
        secret={form.token}
        before={before?.token}
        error={errorOf("token")}
        mayAsk={false}
        keeping={{ support, choice: undefined, missing: false, choose: () => {} }}
        onChange={(token) => change({ token })}
      />
      <Disclosure
        label={words.more}
        note={more > 0 ? text.share.editor.moreSet(more) : undefined}
        open={open}
        onToggle={setOpen}
      >
        {input("tls_ca_file", { hint: text.share.editor.relayCaHint, optional: true })}
        <p className={styles["hint"]}>{words.certificateHint}</p>
        {input("tls_cert_file", { optional: true })}
        {input("tls_key_file", { optional: true })}
      </Disclosure>
      {failure && <NotSaved error={failure} elsewhere={elsewhere} />}
      {question}
    </Dialog>
  );
}

interface InputOptions {
  readonly placeholder?: string;
  readonly hint?: string;
  readonly optional?: boolean;
  readonly first?: boolean;
}

/** Checks first, so that no token is stored for what can't be written. */
async function apply(
  before: RelayForm | undefined,
  form: RelayForm,
  where: "keychain" | "file",
): Promise<void> {
  const value = form.token.kind === "typed" ? form.token.text : "";
  if (value !== "") await checkEdit(relayEditsOf(before, form, { token: { keychain: "not-stored-yet" } }));
  const upstream = form.name.trim();
  const token =
    value === "" ? undefined : await storeSecret({ upstream, kind: "token", of: "relay", value, where });
  const edits = relayEditsOf(before, form, token);
  // A token that takes the old one's place in the keychain or its file changes no line.
  if (edits.length > 0) await edit(edits);
}
