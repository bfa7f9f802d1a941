import { type ReactNode, useState } from "react";
import { useText } from "../i18n/text.ts";
import { Confirm } from "./confirm.tsx";

export interface Closing {
  /** Closes, or asks first. */
  readonly close: () => void;
  /** The question, to be drawn in the form while it is asked. */
  readonly question: ReactNode;
}

/**
 * Closes a form that nothing was changed in, and asks before changes are lost.
 * @param onClose nothing is saved.
 */
export function useClosing(dirty: boolean, onClose: () => void): Closing {
  const words = useText().common.editing;
  const [asking, setAsking] = useState(false);
  return {
    close: () => {
      if (dirty) setAsking(true);
      else onClose();
    },
    question: asking && (
      <Confirm
        title={words.discard}
        yes={words.discardYes}
        no={words.discardNo}
        danger
        onNo={() => setAsking(false)}
        onYes={onClose}
      >
        <p>{words.discardWhy}</p>
      </Confirm>
    ),
  };
}
