import { ControlError } from "@sockeye/engine/control/control-error";
import { useRef, useState } from "react";
import { useEngine } from "../../engine/engine.ts";
import { failureText } from "../../i18n/failure.ts";
import { problemText } from "../../i18n/problem.ts";
import { useText } from "../../i18n/text.ts";
import { Button } from "../../ui/button.tsx";
import { Dialog } from "../../ui/dialog.tsx";
import { Field, type Labelled, Select, TextInput } from "../../ui/field.tsx";
import { toast, toastFailure } from "../../ui/toast.tsx";
import styles from "./routes.module.css";
import { type Rule, writeRules } from "./write-rules.ts";

/**
 * A rule's two fields, and what the engine finds wrong with its match.
 * @param index where it stands once it is written.
 */
function useRule(initial: Rule, index: number, write: (rule: Rule) => ReturnType<typeof writeRules>) {
  const text = useText();
  const [rule, setRule] = useState(initial);
  const [problem, setProblem] = useState<string>();
  const [busy, setBusy] = useState(false);
  const submit = async (): Promise<boolean> => {
    setBusy(true);
    setProblem(undefined);
    try {
      const { warnings } = await write({ match: rule.match.trim(), to: rule.to });
      // Another rule covers it, say.
      for (const { path, message } of warnings)
        if (path.startsWith(`routes[${index}]`))
          toast({ message: failureText(text, { code: "config-warning", message }) });
      return true;
    } catch (error) {
      const problems = error instanceof ControlError ? error.problems : undefined;
      const first = problems?.find(({ path }) => path.startsWith("routes")) ?? problems?.[0];
      if (first) setProblem([problemText(text, first), first.hint].filter(Boolean).join("; "));
      else toastFailure(error);
      return false;
    } finally {
      setBusy(false);
    }
  };
  const change = (changes: Partial<Rule>) => {
    setProblem(undefined);
    setRule({ ...rule, ...changes });
  };
  return { rule, change, reset: () => setRule(initial), problem, busy, submit };
}

export function AddRule({ rules }: { readonly rules: readonly Rule[] }) {
  const text = useText();
  const first = useEngine((state) => state.upstreams.find(({ name }) => name !== "direct")?.name ?? "direct");
  const form = useRule({ match: "", to: first }, rules.length, (rule) => writeRules([...rules, rule]));
  const element = useRef<HTMLFormElement>(null);
  const added = () => {
    form.reset();
    // The next rule can be written; the button that was pressed is out of use now, and would lose the focus.
    element.current?.querySelector("input")?.focus();
  };
  return (
    <form
      ref={element}
      className={styles["add"]}
      aria-label={text.routes.add}
      noValidate
      onSubmit={(event) => {
        event.preventDefault();
        void form.submit().then((done) => done && added());
      }}
    >
      <MatchField form={form} />
      <TargetField form={form} />
      <Button submit busy={form.busy} disabled={form.rule.match.trim() === ""}>
        {text.routes.addSubmit}
      </Button>
    </form>
  );
}

export function EditRule({
  rules,
  index,
  onClose,
}: {
  readonly rules: readonly Rule[];
  readonly index: number;
  readonly onClose: () => void;
}) {
  const text = useText();
  const form = useRule(rules[index]!, index, (rule) =>
    writeRules(rules.map((one, at) => (at === index ? rule : one))),
  );
  return (
    <Dialog
      title={text.routes.editTitle}
      onClose={onClose}
      onSubmit={() => void form.submit().then((written) => written && onClose())}
      foot={
        <>
          <Button onClick={onClose}>{text.common.cancel}</Button>
          <Button kind="primary" submit busy={form.busy} disabled={form.rule.match.trim() === ""}>
            {text.common.save}
          </Button>
        </>
      }
    >
      <MatchField form={form} />
      <TargetField form={form} />
    </Dialog>
  );
}

type Form = ReturnType<typeof useRule>;

function MatchField({ form }: { readonly form: Form }) {
  const text = useText();
  return (
    <Field label={text.routes.match} hint={text.routes.matchHint} error={form.problem}>
      {(control) => (
        <TextInput
          {...control}
          mono
          maxLength={1024}
          value={form.rule.match}
          onChange={({ target }) => form.change({ match: target.value })}
        />
      )}
    </Field>
  );
}

function TargetField({ form }: { readonly form: Form }) {
  const text = useText();
  return (
    <Field label={text.routes.to}>
      {(control) => <TargetSelect {...control} value={form.rule.to} onChange={(to) => form.change({ to })} />}
    </Field>
  );
}

function TargetSelect({
  value,
  onChange,
  ...control
}: Labelled & { readonly value: string; readonly onChange: (to: string) => void }) {
  const text = useText();
  const upstreams = useEngine((state) => state.upstreams);
  return (
    <Select {...control} value={value} onChange={({ target }) => onChange(target.value)}>
      {upstreams
        .filter(({ name }) => name !== "direct")
        .map(({ name }) => (
          <option key={name} value={name}>
            {name}
          </option>
        ))}
      <option value="direct">{text.common.direct}</option>
      <option value="block">{text.common.block}</option>
    </Select>
  );
}
