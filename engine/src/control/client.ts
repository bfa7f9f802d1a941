import { WebSocket } from "ws";
import { ControlError } from "./control-error.ts";
import { findEngines, runtimeDirectory, type EngineEntry } from "./directory.ts";
import { ClientSession, SUBPROTOCOL, type ClientMessage } from "./protocol.ts";

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

export interface ControlClient extends Pick<ClientSession, "call" | "listen"> {
  /** Resolves when the connection has ended, from either side. */
  readonly closed: Promise<void>;
  close(): void;
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

  const session = new ClientSession({
    send: (message: ClientMessage) => socket.send(JSON.stringify(message), () => {}),
    get bufferedBytes() {
      return socket.bufferedAmount;
    },
    close: () => socket.terminate(),
  });
  socket.on("message", (data: Buffer) => {
    try {
      session.receive(JSON.parse(data.toString("utf8")));
    } catch (error) {
      // Not JSON, or a listener of our own threw: either way nothing after it can be relied on.
      session.close(
        new ControlError("internal", "the engine's answer could not be handled", { cause: error }),
      );
      socket.terminate();
    }
  });
  const closed = new Promise<void>((resolve) => {
    socket.on("close", (_code, reason) => {
      const why = reason.length > 0 ? `: ${reason.toString()}` : "";
      session.close(new ControlError("closed", `the engine ended the connection${why}`));
      resolve();
    });
  });
  return {
    call: (name, params, callOptions) => session.call(name, params, callOptions),
    listen: (name, params, listener) => session.listen(name, params, listener),
    closed,
    close: () => {
      socket.close();
      // Nobody waits for the other side's goodbye.
      setTimeout(() => socket.terminate(), 500).unref();
    },
  };
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
