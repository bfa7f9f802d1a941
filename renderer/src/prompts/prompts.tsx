import { useState } from "react";
import { call, useEngine } from "../engine/engine.ts";
import { useText } from "../i18n/text.ts";
import { toast, toastFailure } from "../ui/toast.tsx";
import { HostKeyPrompt } from "./host-key.tsx";
import type { PromptProps } from "./prompt-props.ts";
import { InteractivePrompt, SecretPrompt } from "./secret-prompt.tsx";

/**
 * What the engine asks of the person, one question at a time, the oldest first, over whatever is on the screen. One that is
 * withdrawn, or answered elsewhere, goes away by itself.
 */
export function Prompts() {
  const text = useText().prompts;
  const prompts = useEngine((state) => state.prompts);
  const [sent, setSent] = useState<number>();
  const first = prompts[0];
  if (!first) return null;

  const answer = async (value: string | null) => {
    setSent(first.id);
    try {
      const { taken } = await call("prompt.answer", { id: first.id, answer: value });
      if (!taken && value !== null) toast({ message: text.tooLate, bad: true });
    } catch (error) {
      setSent(undefined);
      toastFailure(error);
    }
  };

  const props: PromptProps = {
    prompt: first,
    behind: prompts.length - 1,
    busy: sent === first.id,
    onAnswer: (value) => void answer(value),
  };
  switch (first.question.kind) {
    case "host-key":
      return <HostKeyPrompt key={first.id} {...props} question={first.question} />;
    case "keyboard-interactive":
      return <InteractivePrompt key={first.id} {...props} question={first.question} />;
    case "passphrase":
    case "password":
      return <SecretPrompt key={first.id} {...props} question={first.question} />;
  }
}
