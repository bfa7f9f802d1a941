import { ControlError } from "@sockeye/engine/control/control-error";
import { ClientSession, SUBPROTOCOL } from "@sockeye/engine/control/protocol";

/** The engine, as long as the connection to it lasts. */
export interface EngineClient extends Pick<ClientSession, "call" | "listen"> {
  readonly closed: Promise<void>;
  close(): void;
}

/** The page has no key, or the engine did not take it: trying again does not help. */
export class KeyError extends Error {
  override readonly name = "KeyError";
  readonly kind: "missing" | "refused";

  constructor(kind: "missing" | "refused") {
    super(kind);
    this.kind = kind;
  }
}

const KEY = "sockeye.key";

/** The key that stands behind the address's `#`, once: from then on the tab keeps it, and the address bar does not. */
export function takeKey(): string | undefined {
  const given = /^#token=([\w-]{1,128})$/.exec(location.hash)?.[1];
  if (given !== undefined) {
    sessionStorage.setItem(KEY, given);
    history.replaceState(null, "", location.pathname);
  }
  return given ?? sessionStorage.getItem(KEY) ?? undefined;
}

/**
 * Connects to the engine that served this page.
 * @throws {KeyError}; {ControlError} `closed` where nobody answers.
 */
export async function connectToServer(key: string | undefined): Promise<EngineClient> {
  if (key === undefined) throw new KeyError("missing");
  const url = new URL("/", location.href);
  url.protocol = "ws:";
  url.hash = "";
  const socket = new WebSocket(url, [SUBPROTOCOL, `sockeye.token.${key}`]);
  const session = new ClientSession({
    send: (message) => socket.send(JSON.stringify(message)),
    get bufferedBytes() {
      return socket.bufferedAmount;
    },
    close: () => socket.close(),
  });
  const closed = new Promise<void>((resolve) => {
    socket.addEventListener("close", () => {
      session.close(new ControlError("closed", "the engine ended the connection"));
      resolve();
    });
  });
  socket.addEventListener("message", ({ data }) => session.receive(JSON.parse(String(data))));
  await new Promise<void>((resolve, reject) => {
    socket.addEventListener("open", () => resolve());
    socket.addEventListener("close", () => reject(new ControlError("closed", "the engine does not answer")));
  });
  return {
    call: session.call.bind(session),
    listen: session.listen.bind(session),
    closed,
    close: () => socket.close(),
  };
}
