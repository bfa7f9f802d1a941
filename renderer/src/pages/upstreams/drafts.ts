import type { UpstreamForm } from "./form.ts";

/**
 * Forms that were left with changes in them, by going Back or by a link from outside: they are there when the person
 * comes again. In memory alone: a secret that was typed is in them.
 */
const drafts = new Map<string, UpstreamForm>();

export function keepDraft(key: string, form: UpstreamForm): void {
  drafts.set(key, form);
}

/** Gives it away: from here on the editor has it. */
export function takeDraft(key: string): UpstreamForm | undefined {
  const draft = drafts.get(key);
  drafts.delete(key);
  return draft;
}
