import type { CallResult } from "@sockeye/engine/control/contract";
import { useEffect, useState } from "react";
import { create } from "zustand";
import { shell } from "../../desktop/shell.ts";
import { call } from "../../engine/engine.ts";
import { goUpstreams } from "./place.ts";

export type ImportPreview = CallResult<"import.preview">;

/** What a `sockeye://` link brought, until it has been looked at. */
export const useLinked = create<{ readonly text: string | undefined }>(() => ({ text: undefined }));

/** Shows a link that the system opened with us as an import's preview. It does nothing by itself. Called once. */
export function followLinks(): void {
  shell?.on("link", ({ text }) => {
    useLinked.setState({ text });
    goUpstreams({ kind: "import" });
  });
}

export type Source =
  { readonly kind: "ssh-config" } | { readonly kind: "text"; readonly text: string } | undefined;

export type PreviewState =
  | { readonly state: "none" }
  | { readonly state: "reading" }
  | { readonly state: "read"; readonly preview: ImportPreview }
  | { readonly state: "failed"; readonly error: unknown };

/** After the last key. */
const PAUSE_MS = 250;

/** What the engine finds in a source. Nothing is changed by looking. */
export function usePreview(source: Source): PreviewState {
  const [state, setState] = useState<PreviewState>({ state: "none" });
  const key = JSON.stringify(source ?? null);
  useEffect(() => {
    const wanted = (JSON.parse(key) ?? undefined) as Source;
    if (!wanted || (wanted.kind === "text" && wanted.text.trim() === "")) {
      setState({ state: "none" });
      return undefined;
    }
    let gone = false;
    // What was found stays in sight while the text is typed on, so that nothing jumps.
    setState((before) => (before.state === "read" ? before : { state: "reading" }));
    const timer = setTimeout(() => {
      call("import.preview", { source: wanted }).then(
        (preview) => {
          if (!gone) setState({ state: "read", preview });
        },
        (error: unknown) => {
          if (!gone) setState({ state: "failed", error });
        },
      );
    }, PAUSE_MS);
    return () => {
      gone = true;
      clearTimeout(timer);
    };
  }, [key]);
  return state;
}
