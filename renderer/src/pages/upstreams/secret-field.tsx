import { Eye, EyeOff, FileText, KeyRound } from "lucide-react";
import { useState } from "react";
import { useText } from "../../i18n/text.ts";
import { Button, IconButton } from "../../ui/button.tsx";
import { Choices } from "../../ui/choice.tsx";
import { Field, TextInput } from "../../ui/field.tsx";
import { Notice } from "../../ui/surface.tsx";
import type { UpstreamForm } from "./form.ts";
import { typedSecrets } from "./form-file.ts";
import type { SecretInput } from "./secret-input.ts";
import type { Keeping, SecretSupport } from "./secrets.ts";
import styles from "./editor.module.css";

/** What becomes of secrets that are typed. */
export interface KeepingState {
  readonly support: SecretSupport | undefined;
  /** Where there is no keychain. */
  readonly choice: Exclude<Keeping, "keychain"> | undefined;
  /** It should have been chosen before saving. */
  readonly missing: boolean;
  readonly choose: (keep: Exclude<Keeping, "keychain">) => void;
}

export interface SecretFieldProps {
  readonly label: string;
  readonly hint?: string | undefined;
  readonly secret: SecretInput;
  /** As the configuration has it. */
  readonly before: SecretInput | undefined;
  readonly error: string | undefined;
  readonly keeping: KeepingState;
  /** Where there is none, the person is asked when it is needed. */
  readonly mayAsk: boolean;
  readonly onChange: (secret: SecretInput) => void;
}

/** A secret: where it is kept, or a new one. One that is kept is never shown; it never came here. */
export function SecretField(props: SecretFieldProps) {
  const { label, secret, error, onChange } = props;
  const words = useText().upstreams.editor;
  switch (secret.kind) {
    case "kept":
      return (
        <Field label={label} hint={props.hint} error={error}>
          {({ id, ...described }) => (
            <div className={styles["secret"]}>
              <output id={id} {...described} aria-invalid={undefined} className={styles["kept"]}>
                <KeyRound size={14} aria-hidden="true" />
                {words.secret.kept[secret.place](secret.label)}
              </output>
              <Button onClick={() => onChange({ kind: "typed", text: "" })}>{words.secret.replace}</Button>
              <Button kind="quiet" onClick={() => onChange({ kind: "none" })}>
                {words.secret.remove}
              </Button>
            </div>
          )}
        </Field>
      );
    case "path":
      return (
        <Field
          label={label}
          hint={
            <>
              {words.secret.pathHint}{" "}
              <button
                type="button"
                className={styles["link"]}
                onClick={() => onChange(props.before ?? { kind: "none" })}
              >
                {words.secret.type}
              </button>
            </>
          }
          error={error}
        >
          {(control) => (
            <TextInput
              {...control}
              mono
              value={secret.path}
              maxLength={1024}
              placeholder="~/.config/sockeye/password"
              onChange={({ target }) => onChange({ kind: "path", path: target.value })}
            />
          )}
        </Field>
      );
    case "none":
    case "typed":
      return <Typed {...props} />;
  }
}

function Typed({ label, hint, secret, before, error, keeping, mayAsk, onChange }: SecretFieldProps) {
  const words = useText().upstreams.editor.secret;
  const [shown, setShown] = useState(false);
  const value = secret.kind === "typed" ? secret.text : "";
  const fate =
    value !== "" && keeping.support?.keychain === true
      ? words.willKeychain
      : value === "" && mayAsk
        ? words.willAsk
        : undefined;
  const about = [hint, fate].filter((one) => one !== undefined).join(" ");
  const old = before?.kind === "kept" && (
    <button type="button" className={styles["link"]} onClick={() => onChange(before)}>
      {words.keepOld}
    </button>
  );
  return (
    <Field
      label={label}
      hint={
        about === "" && old === false ? undefined : (
          <>
            {about} {old}
          </>
        )
      }
      error={error}
    >
      {(control) => (
        <div className={styles["secret"]}>
          <TextInput
            {...control}
            type={shown ? "text" : "password"}
            autoComplete="new-password"
            value={value}
            maxLength={65_536}
            onChange={({ target }) =>
              onChange(target.value === "" ? { kind: "none" } : { kind: "typed", text: target.value })
            }
          />
          <IconButton
            label={shown ? words.hide : words.show}
            icon={shown ? <EyeOff size={15} /> : <Eye size={15} />}
            onClick={() => setShown(!shown)}
          />
          <IconButton
            label={words.useFile}
            icon={<FileText size={15} />}
            onClick={() => onChange({ kind: "path", path: "" })}
          />
        </div>
      )}
    </Field>
  );
}

/** Without a keychain, the person says what becomes of what was typed. */
export function KeepChoice({
  form,
  keeping,
}: {
  readonly form: UpstreamForm;
  readonly keeping: KeepingState;
}) {
  const words = useText().upstreams.editor.secret;
  const { support, choice, missing, choose } = keeping;
  if (support?.keychain !== false || typedSecrets(form).length === 0) return null;
  const mayAsk = form.type === "ssh";
  return (
    <Notice kind="warn">
      <div className={styles["keeping"]}>
        <p>{words.noKeychain(support.reason)}</p>
        <Choices
          label={words.keep}
          value={choice}
          onChange={choose}
          error={missing ? (mayAsk ? words.choose : words.chooseFile) : undefined}
          options={[
            ...(mayAsk ? [{ value: "ask" as const, label: words.ask, hint: words.askHint }] : []),
            { value: "file" as const, label: words.file, hint: words.fileHint },
          ]}
        />
      </div>
    </Notice>
  );
}
