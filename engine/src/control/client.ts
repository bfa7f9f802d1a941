import { WebSocket } from "ws";
import { createControlClient, type ControlClient } from "./control-client.ts";
import { ControlError } from "./control-error.ts";
import { findEngines, runtimeDirectory, type EngineEntry } from "./directory.ts";
import { SUBPROTOCOL } from "./protocol.ts";

export type { ControlClient } from "./control-client.ts";

/** An answer longer than this is not ours. */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;

export interface FindOptions {
  /** The engine's name; may be left out where one runs. */
  readonly name?: string | undefined;
  readonly directory?: string;
}

/** No engine to talk to, or more than one and no name to choose by. */
export class NoEngineError extends Error {
  override readonly name = "NoEngineError";
}

/** @throws {NoEngineError} with a sentence that says which there are. */
export function findEngine(options: FindOptions = {}): EngineEntry {
  const engines = findEngines(options.directory ?? runtimeDirectory());
  const describe = (engine: EngineEntry) =>
    engine.configFile === undefined ? engine.name : `${engine.name} (${engine.configFile})`;
  if (options.name !== undefined) {
    const found = engines.find((engine) => engine.name === options.name);
    if (found !== undefined) return found;
    const others = engines.length === 0 ? "none is running" : `running: ${engines.map(describe).join(", ")}`;
    throw new NoEngineError(`no engine named "${options.name}" is running; ${others}`);
  }
  const [only, another] = engines;
  if (only === undefined) throw new NoEngineError("no engine is running; start one with: sockeye run");
  if (another !== undefined) {
    const names = engines.map(describe).join(", ");
    throw new NoEngineError(`several engines are running; choose one with --engine NAME: ${names}`);
  }
  return only;
}

export interface ConnectOptions {
  /** From the connection to its acceptance. Default 5,000. */
  readonly timeoutMs?: number;
}

/**
 * Connects to a running engine.
 * @throws {NoEngineError} nobody listens there any more, or it does not take the token.
 * @throws {ControlError} timeout.
 */
export async function connectControl(
  entry: Pick<EngineEntry, "url" | "token">,
  options: ConnectOptions = {},
): Promise<ControlClient> {
  const timeoutMs = options.timeoutMs ?? 5_000;
  const socket = new WebSocket(entry.url, SUBPROTOCOL, {
    headers: { authorization: `Bearer ${entry.token}` },
    handshakeTimeout: timeoutMs,
    maxPayload: MAX_ANSWER_BYTES,
    perMessageDeflate: false,
  });
  await opened(socket, entry.url);

  const { client, receive, ended } = createControlClient({
    send: (message) => socket.send(JSON.stringify(message), () => {}),
    get bufferedBytes() {
      return socket.bufferedAmount;
    },
    close: () => {
      socket.close();
      // Nobody waits for the other side's goodbye.
      setTimeout(() => socket.terminate(), 500).unref();
    },
    abort: () => socket.terminate(),
  });
  socket.on("message", (data: Buffer) => receive(() => JSON.parse(data.toString("utf8")) as unknown));
  socket.on("close", (_code, reason) => ended(reason.toString()));
  return client;
}

function opened(socket: WebSocket, url: string): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once("open", () => resolve());
    // Stays for the connection's whole life: `close` follows each error, and tells whoever waits.
    socket.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "ECONNREFUSED") {
        reject(new NoEngineError(`no engine listens at ${url} any more; start one with: sockeye run`));
      } else if (/timed out/i.test(error.message)) {
        reject(new ControlError("timeout", `the engine at ${url} does not answer`, { cause: error }));
      } else {
        reject(new NoEngineError(`the engine at ${url} refused: ${error.message}`, { cause: error }));
      }
    });
  });
}
