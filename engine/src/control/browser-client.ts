/** The control contract for a page in a browser, by WebSocket. Nothing here may need Node. */
import { createControlClient, type ControlClient } from "./control-client.ts";
import { ControlError } from "./control-error.ts";
import { SUBPROTOCOL, TOKEN_SUBPROTOCOL } from "./protocol.ts";

export type { ControlClient } from "./control-client.ts";

export interface ConnectOptions {
  /** From the connection to its acceptance. Default 5,000. */
  readonly timeoutMs?: number;
}

/**
 * Connects a page to its engine.
 * @param url `ws://HOST:PORT/` of the page's own origin.
 * @param token from the fragment of the page's address.
 * @throws {ControlError} closed: nobody is there, or it does not take the token, which a browser can't tell apart; timeout.
 */
export async function connect(
  url: string,
  token: string,
  options: ConnectOptions = {},
): Promise<ControlClient> {
  const socket = new WebSocket(url, [SUBPROTOCOL, `${TOKEN_SUBPROTOCOL}${token}`]);
  await opened(socket, options.timeoutMs ?? 5_000);
  const { client, receive, ended } = createControlClient({
    send: (message) => {
      // One that is closing takes no more, and throws where it is not open yet.
      if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
    },
    get bufferedBytes() {
      return socket.bufferedAmount;
    },
    close: () => socket.close(1000),
    abort: () => socket.close(4000, "the answer could not be handled"),
  });
  socket.addEventListener("message", ({ data }) => receive(() => JSON.parse(String(data)) as unknown));
  socket.addEventListener("close", ({ reason }) => ended(reason));
  return client;
}

function opened(socket: WebSocket, timeoutMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      reject(new ControlError("timeout", `the engine does not answer within ${timeoutMs / 1000} s`));
      socket.close();
    }, timeoutMs);
    socket.addEventListener("open", () => {
      clearTimeout(timer);
      resolve();
    });
    // `close` follows each error, and says no more than that it is over.
    socket.addEventListener("close", () => {
      clearTimeout(timer);
      reject(new ControlError("closed", "no engine is there, or it does not take this page's token"));
    });
  });
}
