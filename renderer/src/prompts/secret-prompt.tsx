import type { PromptQuestion } from "@sockeye/engine/control/contract";
import { type ReactNode, useState } from "react";
import { useText } from "../i18n/text.ts";
import { Button } from "../ui/button.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { Field, TextInput } from "../ui/field.tsx";
import { Behind } from "./behind.tsx";
import type { PromptProps } from "./prompt-props.ts";
import styles from "./prompts.module.css";

/** As much as an answer may have. */
const MAX_ANSWER = 1_024;

type Question<Kind extends PromptQuestion["kind"]> = Extract<PromptQuestion, { kind: Kind }>;

export function SecretPrompt({
  prompt,
  question,
  ...rest
}: PromptProps & { readonly question: Question<"passphrase" | "password"> }) {
  const text = useText().prompts;
  const isPassphrase = question.kind === "passphrase";
  const words = isPassphrase ? text.passphrase : text.password;
  return (
    <AnswerDialog
      {...rest}
      title={words.title}
      label={words.label}
      submit={words.submit}
      wrong={question.again && words.again}
    >
      <p>
        {isPassphrase
          ? text.passphrase.lead(prompt.upstream)
          : text.password.lead(prompt.upstream, question.user, question.host)}
      </p>
      {isPassphrase && <p className={styles["path"]}>{question.file}</p>}
      <p className={styles["about"]}>{text.notKept}</p>
    </AnswerDialog>
  );
}

/** What the server says stands apart, in its own frame and in letters of one width: it could pretend to be us. */
export function InteractivePrompt({
  prompt,
  question,
  ...rest
}: PromptProps & { readonly question: Question<"keyboard-interactive"> }) {
  const text = useText().prompts;
  const said = [question.title, question.instructions, question.prompt].filter((line) => line.trim() !== "");
  return (
    <AnswerDialog
      {...rest}
      title={text.interactive.title}
      label={text.interactive.label}
      submit={text.interactive.submit}
      echo={question.echo}
    >
      <p>{text.interactive.lead(prompt.upstream)}</p>
      <figure className={styles["foreign"]}>
        <figcaption>{text.interactive.says}</figcaption>
        <blockquote>{said.join("\n")}</blockquote>
      </figure>
    </AnswerDialog>
  );
}

function AnswerDialog({
  title,
  label,
  submit,
  echo = false,
  wrong,
  behind,
  busy,
  onAnswer,
  children,
}: Omit<PromptProps, "prompt"> & {
  readonly title: string;
  readonly label: string;
  readonly submit: string;
  /** What is typed may be seen. */
  readonly echo?: boolean;
  /** Of the answer before, until another is begun. */
  readonly wrong?: string | undefined;
  readonly children: ReactNode;
}) {
  const text = useText().prompts;
  const [answer, setAnswer] = useState("");
  const decline = () => onAnswer(null);
  return (
    <Dialog
      title={title}
      firm
      onClose={decline}
      onSubmit={() => {
        if (!busy) onAnswer(answer);
      }}
      foot={
        <>
          <Behind count={behind} />
          <Button disabled={busy} onClick={decline}>
            {text.decline}
          </Button>
          <Button kind="primary" submit busy={busy}>
            {submit}
          </Button>
        </>
      }
    >
      {children}
      <Field label={label} error={answer === "" ? wrong : undefined}>
        {(control) => (
          <TextInput
            {...control}
            data-first-focus
            type={echo ? "text" : "password"}
            autoComplete="off"
            value={answer}
            maxLength={MAX_ANSWER}
            onChange={({ target }) => setAnswer(target.value)}
          />
        )}
      </Field>
    </Dialog>
  );
}
