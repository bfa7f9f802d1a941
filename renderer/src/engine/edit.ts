import type { CallResult, ControlEdit } from "@sockeye/engine/control/contract";
import { ControlError } from "@sockeye/engine/control/control-error";
import { call, refreshUpstreams } from "./engine.ts";

/** Somebody else wrote the file between our reading and our writing: a second look is enough nearly always. */
const ATTEMPTS = 3;

/**
 * Changes the configuration's file and applies it; everything that the edits do not name stays as it is.
 * @returns what was written, and the text before it: `undo(…)` puts that back.
 * @throws {ControlError} invalid-config with the problems; nothing has changed then.
 */
export async function edit(
  edits: ControlEdit[],
): Promise<CallResult<"config.edit"> & { readonly before: string }> {
  for (let attempt = 1; ; attempt++) {
    const { revision, text: before } = await call("config.read", {});
    try {
      const written = await call("config.edit", { edits, revision }, { timeoutMs: 60_000 });
      await refreshUpstreams();
      return { ...written, before };
    } catch (error) {
      if (!(error instanceof ControlError) || error.code !== "conflict" || attempt === ATTEMPTS) throw error;
    }
  }
}

/**
 * What the edits would lead to. Nothing is written.
 * @throws {ControlError} invalid-config where the file can't be edited at all.
 */
export async function previewEdit(edits: ControlEdit[]): Promise<CallResult<"config.edit">> {
  const { revision } = await call("config.read", {});
  return call("config.edit", { edits, revision, preview: true });
}

/**
 * Checks edits before a secret is stored for what can't be written. Nothing is written.
 * @throws {ControlError} invalid-config with the problems.
 */
export async function checkEdit(edits: ControlEdit[]): Promise<void> {
  if (edits.length === 0) return;
  const { problems } = await previewEdit(edits);
  if (problems.length > 0) throw new ControlError("invalid-config", problems[0]!.message, { problems });
}

/**
 * Puts back the text from before an edit.
 * @throws {ControlError} conflict where the file has changed since.
 */
export async function undo(written: { readonly revision: string; readonly before: string }): Promise<void> {
  await call("config.write", { text: written.before, revision: written.revision });
  await refreshUpstreams();
}
