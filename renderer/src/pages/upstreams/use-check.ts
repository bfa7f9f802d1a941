import type { ConfigProblem } from "@sockeye/engine/control/contract";
import { ControlError } from "@sockeye/engine/control/control-error";
import { useEffect, useState } from "react";
import { previewEdit } from "../../engine/edit.ts";
import { emptyForm, freeName, type UpstreamForm } from "./form.ts";
import type { FormErrors } from "./form-check.ts";
import { placeholderReferences } from "./form-file.ts";
import { editsOf } from "./save.ts";

/** After the last key. */
const PAUSE_MS = 300;

export interface Checked {
  readonly problems: readonly ConfigProblem[];
  readonly warnings: readonly ConfigProblem[];
  /** The name that they speak of: another than the form's while that can't be one. */
  readonly name: string;
  /** What was checked: a field that has changed since is no longer what is wrong. */
  readonly form: UpstreamForm;
}

const nothing: Checked = { problems: [], warnings: [], name: "", form: emptyForm };

/** What the engine would say of the form, a moment after the last change: in its own words, without writing anything. */
export function useCheck(
  before: UpstreamForm | undefined,
  form: UpstreamForm,
  errors: FormErrors,
  taken: readonly string[],
): Checked {
  const [checked, setChecked] = useState(nothing);
  // A name that can't be one would hide what is wrong with everything else.
  const name = errors.name === undefined ? form.name.trim() : (before?.name ?? freeName("upstream", taken));
  const edits = editsOf(before, { ...form, name }, placeholderReferences(form));
  const wish = JSON.stringify(edits);
  useEffect(() => {
    let gone = false;
    const timer = setTimeout(() => {
      void ask(edits).then((answer) => {
        if (!gone) setChecked({ ...answer, name, form });
      });
    }, PAUSE_MS);
    return () => {
      gone = true;
      clearTimeout(timer);
    };
    // The edits are compared by their value.
  }, [wish, name]);
  return checked;
}

async function ask(edits: ReturnType<typeof editsOf>): Promise<Pick<Checked, "problems" | "warnings">> {
  if (edits.length === 0) return nothing;
  try {
    return await previewEdit(edits);
  } catch (error) {
    // Saving says what is wrong with the engine or the file; here it is about the fields.
    const problems = error instanceof ControlError ? (error.problems ?? []) : [];
    return { problems, warnings: [] };
  }
}
