/** The configuration's file as the contract reads, writes and edits it. */
import { editConfig } from "../config/edit.ts";
import type { CallParams, CallResult, ConfigDocument } from "./contract.ts";
import { ControlError } from "./control-error.ts";
import { conflict, readConfigText, writeConfigText } from "./config-file.ts";
import type { ControlHost } from "./host.ts";
import { maskSecrets } from "./mask.ts";

/** @throws {ControlError} no-config-file; unavailable, with why it can't be read. */
export async function readDocument(host: ControlHost): Promise<ConfigDocument> {
  const path = configFile(host);
  const { text, revision } = await readConfigText(path);
  const { problems, warnings, config } = host.checkConfig(text);
  return {
    path,
    text,
    revision,
    problems: [...problems],
    warnings: [...warnings],
    ...(config === undefined ? {} : { config: maskSecrets(config) }),
  };
}

/**
 * Writes the file in one step and applies it.
 * @throws {ControlError} invalid-config with the problems; conflict; and nothing has changed then.
 */
export async function writeDocument(
  host: ControlHost,
  text: string,
  revision: string,
): Promise<CallResult<"config.write">> {
  const path = configFile(host);
  const { problems } = host.checkConfig(text);
  if (problems.length > 0) {
    throw new ControlError("invalid-config", "the text has problems, so nothing was written", { problems });
  }
  const before = await readConfigText(path);
  const written = await writeConfigText(path, text, revision);
  try {
    const { warnings } = await host.reload();
    return { revision: written, warnings: [...warnings] };
  } catch (error) {
    // It could not be applied (an address in use, say): the file goes back to what runs.
    if (before.revision !== "") await writeConfigText(path, before.text, written).catch(() => {});
    throw error;
  }
}

/** @throws {ControlError} as writeDocument(), and invalid-config with the sentence of what can't be done. */
export async function editDocument(
  host: ControlHost,
  { edits, revision, preview }: CallParams<"config.edit">,
): Promise<CallResult<"config.edit">> {
  const before = await readConfigText(configFile(host));
  if (before.revision !== revision) throw conflict();
  const text = edited(before.text, edits);
  const { problems, warnings } = host.checkConfig(text);
  if (preview === true) return { revision, text, problems: [...problems], warnings: [...warnings] };
  return { ...(await writeDocument(host, text, revision)), text, problems: [] };
}

/** @throws {ControlError} invalid-config with the sentence of what can't be done. */
export function edited(text: string, edits: CallParams<"config.edit">["edits"]): string {
  try {
    return editConfig(text, edits);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    const problems = [{ line: 0, column: 0, path: "", message: error.message }];
    throw new ControlError("invalid-config", error.message, { problems, cause: error });
  }
}

/** @throws {ControlError} no-config-file */
export function configFile(host: ControlHost): string {
  if (host.configFile === undefined) {
    throw new ControlError("no-config-file", "this engine runs without a configuration file");
  }
  return host.configFile;
}
