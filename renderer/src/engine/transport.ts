import { connect, type ControlClient } from "@sockeye/engine/control/browser-client";
import { ControlError } from "@sockeye/engine/control/control-error";
import { connectPort } from "@sockeye/engine/control/message-port";
import { type DesktopBridge, ENGINE_PORT } from "../desktop/contract.ts";

export type { ControlClient };

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
/** The shell gives a port as soon as the engine's process is there. */
const PORT_DEADLINE_MS = 10_000;

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
export async function connectToServer(key: string | undefined): Promise<ControlClient> {
  if (key === undefined) throw new KeyError("missing");
  try {
    return await connect(`ws://${location.host}/`, key);
  } catch (error) {
    // Too busy to answer in time: it has said nothing of the key.
    if (error instanceof ControlError && error.code === "timeout") throw error;
    // A browser does not say why; but where the server is there, it was the key.
    const there = await fetch("/", { method: "HEAD" }).then(
      ({ ok }) => ok,
      () => false,
    );
    if (there) throw new KeyError("refused");
    throw error;
  }
}

/**
 * Connects to the desktop app's engine, by a port that the shell hands over.
 * @throws {ControlError} `timeout` while there is no engine.
 */
export function connectToShell(bridge: DesktopBridge): Promise<ControlClient> {
  return new Promise((resolve, reject) => {
    const onMessage = ({ data, source, ports: [port] }: MessageEvent) => {
      if (source !== window || data !== ENGINE_PORT || !port) return;
      stop();
      resolve(connectPort(port));
    };
    const timer = setTimeout(() => {
      stop();
      reject(new ControlError("timeout", "the engine is not there"));
    }, PORT_DEADLINE_MS);
    const stop = () => {
      clearTimeout(timer);
      removeEventListener("message", onMessage);
    };
    addEventListener("message", onMessage);
    bridge.requestEnginePort();
  });
}
