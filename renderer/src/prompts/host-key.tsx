import type { PromptQuestion } from "@sockeye/engine/control/contract";
import { Copy, ShieldQuestion } from "lucide-react";
import { copyText } from "../desktop/shell.ts";
import { useText } from "../i18n/text.ts";
import { Button, IconButton } from "../ui/button.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { toastFailure } from "../ui/toast.tsx";
import type { PromptProps } from "./prompt-props.ts";
import { Behind } from "./behind.tsx";
import styles from "./prompts.module.css";

type HostKey = Extract<PromptQuestion, { kind: "host-key" }>;

/** No answer has the focus: Return, pressed for something else, must not trust anybody. */
export function HostKeyPrompt({
  prompt,
  question,
  behind,
  busy,
  onAnswer,
}: PromptProps & { readonly question: HostKey }) {
  const text = useText();
  const words = text.prompts;
  const decline = () => onAnswer(null);
  return (
    <Dialog
      title={words.hostKey.title}
      firm
      onClose={decline}
      foot={
        <>
          <Behind count={behind} />
          <Button disabled={busy} onClick={decline}>
            {words.hostKey.no}
          </Button>
          <Button kind="primary" busy={busy} onClick={() => onAnswer("yes")}>
            {words.hostKey.yes}
          </Button>
        </>
      }
    >
      <div className={styles["lead"]}>
        <ShieldQuestion size={28} strokeWidth={1.6} aria-hidden="true" />
        <p>{words.hostKey.lead(prompt.upstream)}</p>
      </div>
      <dl className={styles["facts"]}>
        <dt>{words.hostKey.host}</dt>
        <dd className={styles["mono"]}>{question.host}</dd>
        <dt>{words.hostKey.type}</dt>
        <dd className={styles["mono"]}>{question.keyType}</dd>
        <dt>{words.hostKey.fingerprint}</dt>
        <dd className={`${styles["mono"]} ${styles["fingerprint"]}`}>
          <span>{question.fingerprint}</span>
          <IconButton
            label={text.common.copy}
            icon={<Copy size={14} />}
            onClick={() => void copyText(question.fingerprint).catch(toastFailure)}
          />
        </dd>
      </dl>
      <p className={styles["about"]}>{words.hostKey.about}</p>
    </Dialog>
  );
}
