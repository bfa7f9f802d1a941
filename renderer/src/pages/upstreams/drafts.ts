import { useEffect, useRef } from "react";
import { useText } from "../../i18n/text.ts";
import { toast } from "../../ui/toast.tsx";
import type { UpstreamForm } from "./form.ts";
import { goUpstreams } from "./place.ts";

/**
 * Forms that were left with changes in them, by going Back or by a link from outside: they are there when the person
 * comes again. In memory alone: a secret that was typed is in them.
 */
const drafts = new Map<string, UpstreamForm>();

function keepDraft(key: string, form: UpstreamForm): void {
  drafts.set(key, form);
}

/** Gives it away: from here on the editor has it. */
export function takeDraft(key: string): UpstreamForm | undefined {
  const draft = drafts.get(key);
  drafts.delete(key);
  return draft;
}

/** Keeps the form where it is left with changes and without a word. @returns to be called where it is saved or discarded. */
export function useDraft(key: string, form: UpstreamForm, dirty: boolean, name: string): () => void {
  const words = useText().upstreams.editor;
  const latest = useRef({ form, dirty });
  const settled = useRef(false);
  useEffect(() => {
    latest.current = { form, dirty };
  });
  useEffect(() => {
    const warn = (event: BeforeUnloadEvent) => {
      if (latest.current.dirty && !settled.current) event.preventDefault();
    };
    addEventListener("beforeunload", warn);
    return () => {
      removeEventListener("beforeunload", warn);
      if (settled.current || !latest.current.dirty) return;
      keepDraft(key, latest.current.form);
      const back = () =>
        goUpstreams(
          key.startsWith("./")
            ? { kind: "edit", name }
            : key === "new/"
              ? { kind: "new" }
              : { kind: "duplicate", of: key.slice("new/".length) },
        );
      toast({ message: words.draftKept(name), action: { label: words.goOn, run: back } });
    };
    // What is left behind is told once, in the words of the moment that it was opened.
  }, [key, name]);
  return () => {
    settled.current = true;
  };
}
