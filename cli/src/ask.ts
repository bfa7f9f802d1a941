import type { ControlClient } from "@sockeye/engine/control/client";
import { CommandFailure, ExitCode } from "./exit-codes.ts";

/**
 * Does something with a running engine, and lets go of it.
 * @throws {CommandFailure} noEngine, with which there are.
 */
export async function withEngine<Result>(
  name: string | undefined,
  use: (client: ControlClient) => Promise<Result>,
): Promise<Result> {
  const client = await connected(name);
  try {
    return await use(client);
  } finally {
    client.close();
  }
}

async function connected(name: string | undefined): Promise<ControlClient> {
  // Loaded when asked for: a command line is read more often than an engine is spoken to.
  const { connectControl, findEngine, NoEngineError } = await import("@sockeye/engine/control/client");
  try {
    return await connectControl(findEngine({ name }));
  } catch (error) {
    if (error instanceof NoEngineError) throw new CommandFailure(ExitCode.noEngine, error.message, error);
    throw error;
  }
}
