import { ControlError } from "@sockeye/engine/control/control-error";
import { useState } from "react";
import { checkEdit, edit } from "../../engine/edit.ts";
import { call } from "../../engine/engine.ts";
import { problemText } from "../../i18n/problem.ts";
import { useText } from "../../i18n/text.ts";
import { Button } from "../../ui/button.tsx";
import { Dialog } from "../../ui/dialog.tsx";
import { useClosing } from "../../ui/discarding.tsx";
import { focusFirstInvalid } from "../../ui/focus-invalid.ts";
import { NotSaved } from "../../ui/not-saved.tsx";
import { toast } from "../../ui/toast.tsx";
import { storeSecret, useSecretSupport } from "../upstreams/secrets.ts";
import { ShareFields } from "./editor-fields.tsx";
import {
  checkShare,
  editsOf,
  emptyShare,
  fieldOf,
  publicNameOf,
  type ShareField,
  type ShareForm,
  shareFormOf,
  type ShareReferences,
  type Taken,
} from "./form.ts";
import { LoadedEditor } from "./loaded-editor.tsx";

export interface ShareEditorProps {
  /** The share to change; without it a new one. */
  readonly name?: string;
  readonly onClose: () => void;
}

interface Loaded {
  /** Undefined where there is no share of that name, or where it is new. */
  readonly before: ShareForm | undefined;
  readonly taken: Taken;
  /** Addresses of the relays. */
  readonly addresses: Readonly<Record<string, string>>;
}

export function ShareEditor({ name, onClose }: ShareEditorProps) {
  const words = useText().share.editor;
  const title = name === undefined ? words.newTitle : words.editTitle(name);
  return (
    <LoadedEditor
      title={title}
      name={name}
      load={load}
      isThere={({ before }) => before !== undefined}
      goneWords={words}
      onClose={onClose}
    >
      {(loaded) => <EditorForm title={title} loaded={loaded} onClose={onClose} />}
    </LoadedEditor>
  );
}

async function load(name: string | undefined): Promise<Loaded> {
  const { config, problems } = await call("config.read", {});
  if (!config) throw new Error(problems[0]?.message ?? "");
  const relays = (config["relays"] ?? {}) as Record<string, { readonly address: string }>;
  const shares = (config["shares"] ?? {}) as Record<string, Record<string, unknown>>;
  const found = name !== undefined && Object.hasOwn(shares, name) ? shares[name] : undefined;
  return {
    before: found && shareFormOf(name!, found),
    taken: {
      shares: Object.keys(shares).filter((one) => one !== name),
      relays: Object.keys(relays),
    },
    addresses: Object.fromEntries(Object.entries(relays).map(([relay, { address }]) => [relay, address])),
  };
}

function EditorForm({
  title,
  loaded,
  onClose,
}: {
  readonly title: string;
  readonly loaded: Loaded;
  readonly onClose: () => void;
}) {
  const text = useText();
  const words = text.share.editor;
  const { before, taken, addresses } = loaded;
  const [start] = useState(
    () =>
      before ?? {
        ...emptyShare,
        relay: taken.relays[0] ?? "",
        relayName: taken.relays.length === 0 ? "home" : "",
      },
  );
  const [form, setForm] = useState(start);
  const [touched, setTouched] = useState<ReadonlySet<ShareField>>(new Set());
  const [submitted, setSubmitted] = useState(false);
  const [saving, setSaving] = useState(false);
  const [failure, setFailure] = useState<ControlError | Error>();
  const support = useSecretSupport();
  const errors = checkShare(form, taken);
  const problems = failure instanceof ControlError ? (failure.problems ?? []) : [];
  const dirty = JSON.stringify(form) !== JSON.stringify(start);
  const errorOf = (field: ShareField): string | undefined => {
    const own = errors[field];
    if (own !== undefined) return submitted || touched.has(field) ? words.errors[own] : undefined;
    const problem = problems.find(({ path }) => isOf(path, form) && fieldOf(path) === field);
    return problem && problemText(text, problem);
  };
  const leave = (field: ShareField) => setTouched(new Set(touched).add(field));
  const change = (changes: Partial<ShareForm>) => {
    setFailure(undefined);
    const next = { ...form, ...changes };
    // Until somebody wants another one, the public name is made of the name.
    const follows = before === undefined && form.publicName === publicNameOf(form.name);
    setForm(follows && changes.name !== undefined ? { ...next, publicName: publicNameOf(next.name) } : next);
  };
  const { close, question } = useClosing(dirty, onClose);
  const save = async () => {
    setSubmitted(true);
    setFailure(undefined);
    if (Object.keys(errors).length > 0) {
      focusFirstInvalid();
      return;
    }
    setSaving(true);
    try {
      await apply(before, form, support?.keychain === true ? "keychain" : "file");
      toast({ message: before ? words.saved(form.name.trim()) : words.added(form.name.trim()) });
      onClose();
    } catch (error) {
      setFailure(error instanceof Error ? error : new Error(String(error)));
      setSaving(false);
      focusFirstInvalid();
    }
  };
  const elsewhere = problems.filter(({ path }) => !isOf(path, form) || fieldOf(path) === undefined);
  return (
    <Dialog
      title={title}
      shape="side"
      firm
      onClose={close}
      onSubmit={() => void save()}
      foot={
        <>
          <Button kind="quiet" onClick={close}>
            {text.common.cancel}
          </Button>
          <Button kind="primary" submit busy={saving} disabled={before !== undefined && !dirty}>
            {text.common.save}
          </Button>
        </>
      }
    >
      <ShareFields
        form={form}
        before={before}
        addresses={addresses}
        support={support}
        errorOf={errorOf}
        onChange={change}
        onLeave={leave}
      />
      {failure && <NotSaved error={failure} elsewhere={elsewhere} />}
      {question}
    </Dialog>
  );
}

/** Whether a problem's path is of what the form writes. */
function isOf(path: string, form: ShareForm): boolean {
  const own = [
    `shares.${form.name.trim()}`,
    ...(form.relay === "" ? [`relays.${form.relayName.trim()}`] : []),
  ];
  return own.some((one) => path === one || path.startsWith(`${one}.`));
}

/** Checks first, so that no secret is stored for what can't be written. */
async function apply(
  before: ShareForm | undefined,
  form: ShareForm,
  where: "keychain" | "file",
): Promise<void> {
  const password = form.kind === "http" && form.password.kind === "typed" ? form.password.text : "";
  const token = form.relay === "" && form.token.kind === "typed" ? form.token.text : "";
  const later = { keychain: "not-stored-yet" };
  await checkEdit(
    editsOf(before, form, {
      ...(password !== "" && { password: { password: later } }),
      ...(token !== "" && { token: { token: later } }),
    }),
  );
  const [share, relay] = [form.name.trim(), form.relayName.trim()];
  const references: ShareReferences = {
    ...(password !== "" && {
      password: await storeSecret({ upstream: share, kind: "password", of: "share", value: password, where }),
    }),
    ...(token !== "" && {
      token: await storeSecret({ upstream: relay, kind: "token", of: "relay", value: token, where }),
    }),
  };
  const edits = editsOf(before, form, references);
  if (edits.length > 0) await edit(edits);
}
