import type { ConfigProblem } from "@sockeye/engine/control/contract";
import { ControlError } from "@sockeye/engine/control/control-error";
import { useState } from "react";
import { checkEdit, edit } from "../../engine/edit.ts";
import { useEngine } from "../../engine/engine.ts";
import { parseTarget } from "../../engine/target.ts";
import { useTestRun } from "../../engine/test-run.ts";
import { failureText } from "../../i18n/failure.ts";
import { problemText } from "../../i18n/problem.ts";
import { useText } from "../../i18n/text.ts";
import { Button } from "../../ui/button.tsx";
import { Dialog } from "../../ui/dialog.tsx";
import { useClosing } from "../../ui/discarding.tsx";
import { TextInput } from "../../ui/field.tsx";
import { focusFirstInvalid } from "../../ui/focus-invalid.ts";
import { NotSaved } from "../../ui/not-saved.tsx";
import { Notice } from "../../ui/surface.tsx";
import { toast } from "../../ui/toast.tsx";
import { takeDraft, useDraft } from "./drafts.ts";
import { EditorFields } from "./editor-fields.tsx";
import { type FieldName, type UpstreamForm, valueOf } from "./form.ts";
import { checkForm, placeProblems } from "./form-check.ts";
import { clearReferences, placeholderReferences, sameForm, toFile, typedSecrets } from "./form-file.ts";
import { editsOf } from "./save.ts";
import { type Keeping, storeSecrets, useSecretSupport } from "./secrets.ts";
import { TestResult } from "./test-result.tsx";
import { useCheck } from "./use-check.ts";
import styles from "./editor.module.css";

export interface EditorFormProps {
  /** Under which changes wait that were left behind. */
  readonly draftKey: string;
  readonly title: string;
  /** As the configuration has it; undefined where it is new. */
  readonly before: UpstreamForm | undefined;
  readonly start: UpstreamForm;
  readonly onClose: (saved?: string) => void;
}

export function EditorForm({ draftKey, title, before, start, onClose }: EditorFormProps) {
  const text = useText();
  const words = text.upstreams.editor;
  const [draft] = useState(() => takeDraft(draftKey));
  const [form, setForm] = useState(draft ?? start);
  const [fromDraft, setFromDraft] = useState(draft !== undefined);
  const [touched, setTouched] = useState<ReadonlySet<FieldName>>(new Set());
  const [submitted, setSubmitted] = useState(false);
  const [keep, setKeep] = useState<Exclude<Keeping, "keychain">>();
  const [saving, setSaving] = useState(false);
  const [failure, setFailure] = useState<{ error: unknown; problems: readonly ConfigProblem[] }>();
  const [target, setTarget] = useState("");
  const test = useTestRun();
  const support = useSecretSupport();
  const names = useEngine((state) => state.upstreams).map((one) => one.name);
  const taken = names.filter((one) => one !== before?.name);
  const errors = checkForm(form, taken);
  const checked = useCheck(before, form, errors, taken);
  const dirty = !sameForm(form, start) || (fromDraft && draft !== undefined);
  const settled = useDraft(draftKey, form, dirty, before?.name ?? "");
  const typed = typedSecrets(form);
  const needsChoice = typed.length > 0 && support?.keychain === false;
  const kept = keep === "ask" && form.type !== "ssh" ? undefined : keep;
  const badTarget = target.trim() !== "" && !parseTarget(target);

  const placed = placeProblems([...(failure?.problems ?? []), ...checked.problems], checked.name);
  const isAsChecked = (field: FieldName) => valueOf(form, field) === valueOf(checked.form, field);
  const errorOf = (field: FieldName): string | undefined => {
    const own = errors[field];
    if (own !== undefined) return submitted || touched.has(field) ? words.errors[own] : undefined;
    const problem = failure || isAsChecked(field) ? placed.fields[field] : undefined;
    return problem && problemText(text, problem);
  };
  const change = (next: UpstreamForm, field: FieldName) => {
    setForm(next);
    setFailure(undefined);
    if (field !== "type") setTouched(new Set(touched).add(field));
  };

  const { close, question } = useClosing(dirty, () => {
    settled();
    onClose();
  });

  const save = async () => {
    setSubmitted(true);
    setFailure(undefined);
    if (Object.keys(errors).length > 0) {
      focusFirstInvalid();
      return;
    }
    if (needsChoice && kept === undefined) {
      focusFirstInvalid(MISSING_CHOICE);
      return;
    }
    setSaving(true);
    const name = form.name.trim();
    try {
      await apply(before, form, support?.keychain === true ? "keychain" : (kept ?? "ask"));
      settled();
      toast({ message: before ? words.saved(name) : words.added(name) });
      onClose(name);
    } catch (error) {
      const problems = error instanceof ControlError ? (error.problems ?? []) : [];
      setFailure({ error, problems });
      setSaving(false);
      if (problems.length > 0) focusFirstInvalid();
    }
  };

  const startTest = () => {
    setSubmitted(true);
    if (Object.keys(errors).length > 0 || badTarget) {
      focusFirstInvalid();
      return;
    }
    const endpoint = parseTarget(target);
    // Under the name that the configuration knows, so that what it keeps to itself is found there.
    test.start({
      name: before?.name ?? form.name.trim(),
      ...(dirty && { config: toFile(form, clearReferences(form)) }),
      ...(endpoint && target.trim() !== "" && { target: endpoint }),
    });
  };

  const testing = test.run?.state === "running";
  return (
    <Dialog
      title={title}
      shape="side"
      firm
      onClose={close}
      onSubmit={() => void save()}
      tray={test.run && <TestResult run={test.run} />}
      foot={
        <div className={styles["foot"]}>
          <div className={styles["try"]}>
            <Button onClick={testing ? test.cancel : startTest}>{testing ? words.stop : words.test}</Button>
            <TextInput
              aria-label={words.target}
              aria-invalid={badTarget || undefined}
              title={badTarget ? words.badTarget : words.target}
              placeholder={words.targetPlaceholder}
              value={target}
              maxLength={300}
              onChange={(event) => setTarget(event.target.value)}
              onKeyDown={(event) => {
                if (event.key !== "Enter") return;
                event.preventDefault();
                startTest();
              }}
            />
          </div>
          <Button kind="quiet" onClick={close}>
            {text.common.cancel}
          </Button>
          <Button kind="primary" submit busy={saving} disabled={before !== undefined && !dirty}>
            {text.common.save}
          </Button>
        </div>
      }
    >
      {fromDraft && (
        <Notice
          action={
            <Button
              kind="quiet"
              onClick={() => {
                setForm(start);
                setFromDraft(false);
              }}
            >
              {words.startOver}
            </Button>
          }
        >
          {words.draft}
        </Notice>
      )}
      <EditorFields
        form={form}
        before={before}
        errorOf={errorOf}
        keeping={{
          support,
          choice: kept,
          missing: submitted && needsChoice && kept === undefined,
          choose: setKeep,
        }}
        onChange={change}
        onLeave={(field) => setTouched(new Set(touched).add(field))}
      />
      {checked.warnings
        .filter(({ path }) => path.startsWith(`upstreams.${checked.name}.`))
        .map(({ path, message }) => (
          <Notice key={path} kind="warn">
            {failureText(text, { code: "config-warning", message })}
          </Notice>
        ))}
      {failure && <NotSaved error={failure.error} elsewhere={placed.others} />}
      {question}
    </Dialog>
  );
}

/** Checks first, so that no secret is stored for what can't be written. */
async function apply(before: UpstreamForm | undefined, form: UpstreamForm, where: Keeping): Promise<void> {
  const secrets = typedSecrets(form);
  const name = form.name.trim();
  if (secrets.length > 0 && where !== "ask") {
    await checkEdit(editsOf(before, form, placeholderReferences(form)));
    const references = await storeSecrets(name, secrets, where);
    await edit(editsOf(before, form, references));
    return;
  }
  const edits = editsOf(before, form, {});
  if (edits.length > 0) await edit(edits);
}

const MISSING_CHOICE = "dialog fieldset[data-missing] input";
