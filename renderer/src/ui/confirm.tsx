import type { ReactNode } from "react";
import { useText } from "../i18n/text.ts";
import { Button } from "./button.tsx";
import { Dialog } from "./dialog.tsx";

/** Asks once more before something that can't be taken back. Declining has the focus. */
export function Confirm({
  title,
  children,
  yes,
  no,
  danger,
  busy,
  onYes,
  onNo,
}: {
  readonly title: string;
  readonly children?: ReactNode;
  readonly yes: string;
  readonly no?: string;
  readonly danger?: boolean;
  readonly busy?: boolean;
  readonly onYes: () => void;
  readonly onNo: () => void;
}) {
  const text = useText();
  return (
    <Dialog
      title={title}
      onClose={onNo}
      foot={
        <>
          <Button onClick={onNo} data-first-focus>
            {no ?? text.common.cancel}
          </Button>
          <Button kind={danger === true ? "danger" : "primary"} busy={busy === true} onClick={onYes}>
            {yes}
          </Button>
        </>
      }
    >
      {children}
    </Dialog>
  );
}
