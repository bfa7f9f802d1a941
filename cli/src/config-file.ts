import { homedir } from "node:os";
import { parseConfig, type ParseResult } from "@sockeye/engine/config/load";
import { readConfigText } from "@sockeye/config-kit/read-text";
import { unreadable } from "./refusal.ts";

/**
 * Reads and checks a configuration file.
 * @throws {CommandFailure} config, where it can't be read.
 */
export async function readConfiguration(file: string): Promise<ParseResult & { readonly text: string }> {
  let text: string;
  try {
    text = await readConfigText(file);
  } catch (error) {
    throw unreadable(file, error);
  }
  return { text, ...parseConfig(text, { env: process.env, home: homedir(), fileName: file }) };
}
