import type { ConfigProblem } from "@sockeye/engine/control/contract";
import { ControlError } from "@sockeye/engine/control/control-error";
import { useState } from "react";
import { edit, previewEdit } from "../../engine/edit.ts";
import { useEngine } from "../../engine/engine.ts";
import { parseTarget } from "../../engine/target.ts";
import { useTestRun } from "../../engine/test-run.ts";
import { failureText } from "../../i18n/failure.ts";
import { problemText } from "../../i18n/problem.ts";
import { useText } from "../../i18n/text.ts";
import { Button } from "../../ui/button.tsx";
import { Confirm } from "../../ui/confirm.tsx";
import { Dialog } from "../../ui/dialog.tsx";
import { TextInput } from "../../ui/field.tsx";
import { focusFirstInvalid } from "../../ui/focus-invalid.ts";
import { Notice } from "../../ui/surface.tsx";
import { toast } from "../../ui/toast.tsx";
import { takeDraft, useDraft } from "./drafts.ts";
import { EditorFields } from "./editor-fields.tsx";
import {
  checkForm,
  clearReferences,
  type FieldName,
  placeholderReferences,
  placeProblems,
  sameForm,
  toFile,
  typedSecrets,
  type UpstreamForm,
} from "./form.ts";
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
  const [leaving, setLeaving] = useState(false);
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
  const errorOf = (field: FieldName): string | undefined => {
    const own = errors[field];
    if (own !== undefined) return submitted || touched.has(field) ? words.errors[own] : undefined;
    const problem = placed.fields[field];
    return problem && problemText(text, problem);
  };
  const change = (next: UpstreamForm, field: FieldName) => {
    setForm(next);
    setFailure(undefined);
    if (field !== "type") setTouched(new Set(touched).add(field));
  };

  const close = () => {
    if (dirty) setLeaving(true);
    else onClose();
  };

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
      {failure && (
        <Notice kind="bad">
          <strong>{words.notSaved}</strong> {failureText(text, failure.error)}
          <Elsewhere problems={placed.others} />
        </Notice>
      )}
      {leaving && (
        <Confirm
          title={words.discard}
          yes={words.discardYes}
          no={words.discardNo}
          danger
          onNo={() => setLeaving(false)}
          onYes={() => {
            settled();
            onClose();
          }}
        >
          <p>{words.discardWhy}</p>
        </Confirm>
      )}
    </Dialog>
  );
}

function Elsewhere({ problems }: { readonly problems: readonly ConfigProblem[] }) {
  const text = useText();
  const words = text.upstreams.editor;
  if (problems.length === 0) return null;
  return (
    <>
      <p>{words.elsewhere}</p>
      <ul>
        {problems.map((problem, index) => (
          <li key={index}>
            {problemText(text, problem)}
            {problem.hint === undefined ? "" : `; ${problem.hint}`} ({words.line(problem.line)})
          </li>
        ))}
      </ul>
    </>
  );
}

/** Checks first, so that no secret is stored for what can't be written. */
async function apply(before: UpstreamForm | undefined, form: UpstreamForm, where: Keeping): Promise<void> {
  const secrets = typedSecrets(form);
  const name = form.name.trim();
  if (secrets.length > 0 && where !== "ask") {
    await preview(before, form);
    const references = await storeSecrets(name, secrets, where);
    await edit(editsOf(before, form, references));
    return;
  }
  const edits = editsOf(before, form, {});
  if (edits.length > 0) await edit(edits);
}

async function preview(before: UpstreamForm | undefined, form: UpstreamForm): Promise<void> {
  const { problems } = await previewEdit(editsOf(before, form, placeholderReferences(form)));
  if (problems.length > 0) throw new ControlError("invalid-config", problems[0]!.message, { problems });
}

const MISSING_CHOICE = "dialog fieldset[data-missing] input";
