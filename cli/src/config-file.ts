import { homedir } from "node:os";
import { parseConfig, type ParseResult, readConfigText } from "@sockeye/engine/config/load";
import { CommandFailure, ExitCode } from "./exit-codes.ts";

/**
 * Reads and checks a configuration file.
 * @throws {CommandFailure} config, where it can't be read.
 */
export async function readConfiguration(file: string): Promise<ParseResult & { readonly text: string }> {
  let text: string;
  try {
    text = await readConfigText(file);
  } catch (error) {
    throw new CommandFailure(ExitCode.config, `can't read ${file}: ${whyUnreadable(error)}`, error);
  }
  return { text, ...parseConfig(text, { env: process.env, home: homedir(), fileName: file }) };
}

function whyUnreadable(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  switch (code) {
    case "ENOENT":
      return "it does not exist";
    case "EACCES":
      return "permission denied";
    case "EISDIR":
      return "it is a folder";
    default:
      return message;
  }
}
