import type { Page } from "playwright-core";
import { SUBPROTOCOL, TOKEN_SUBPROTOCOL } from "@sockeye/engine/control/protocol";
import {
  BRIDGE_NAME,
  type DesktopCallName,
  type DesktopEventName,
  ENGINE_PORT,
} from "@sockeye/renderer/desktop/contract";

/** A stand-in for the desktop shell around a page: what it was asked for, and what it tells. */
export interface DesktopShell {
  readonly asked: { readonly name: DesktopCallName; readonly params: unknown }[];
  /** Tells the page of an event. */
  tell(name: DesktopEventName, event: object): Promise<void>;
}

/** Every answer of a shell that says nothing of interest. */
const answers: Readonly<Record<string, unknown>> = {
  facts: {
    platform: "linux",
    version: "0.0.0-test",
    packaged: false,
    tray: true,
    loginItem: true,
    safeStorage: true,
    updates: { reason: "not in a test" },
    configFile: "/nowhere/sockeye.yaml",
  },
};

/**
 * Puts the bridge of the desktop app into the pages of a context, as its preload script does. The port that it hands over leads to the
 * engine at `address` (with its key), by the WebSocket of a browser's page.
 * @param handlers what the shell answers.
 */
export async function standInForShell(
  page: Page,
  address: string,
  handlers: Partial<Record<DesktopCallName, (params: never) => unknown>> = {},
): Promise<DesktopShell> {
  const asked: { name: DesktopCallName; params: unknown }[] = [];
  await page.exposeFunction("askShell", async (name: DesktopCallName, params: never) => {
    asked.push({ name, params });
    return (await handlers[name]?.(params)) ?? answers[name] ?? {};
  });
  const [origin = "", token = ""] = address.split("#token=");
  const protocols = [SUBPROTOCOL, `${TOKEN_SUBPROTOCOL}${token}`];
  await page.addInitScript(`
    const listeners = {};
    window.tellPage = (name, event) => (listeners[name] ?? []).forEach((listener) => listener(event));
    window[${JSON.stringify(BRIDGE_NAME)}] = {
      call: (name, params) => window.askShell(name, params),
      on(name, listener) {
        (listeners[name] ??= []).push(listener);
        return () => (listeners[name] = listeners[name].filter((one) => one !== listener));
      },
      requestEnginePort() {
        const { port1, port2 } = new MessageChannel();
        const socket = new WebSocket(${JSON.stringify(origin.replace(/^http/, "ws"))}, ${JSON.stringify(protocols)});
        const waiting = [];
        port1.onmessage = ({ data }) => {
          if (data.kind === "bye") socket.close();
          if (data.kind !== "text") return;
          port1.postMessage({ kind: "taken", length: data.text.length });
          if (socket.readyState === 1) socket.send(data.text);
          else waiting.push(data.text);
        };
        socket.onopen = () => waiting.forEach((text) => socket.send(text));
        socket.onmessage = ({ data }) => port1.postMessage({ kind: "text", text: data });
        socket.onclose = () => port1.postMessage({ kind: "bye", reason: "the engine ended" });
        window.postMessage(${JSON.stringify(ENGINE_PORT)}, location.origin, [port2]);
      },
    };
  `);
  return {
    asked,
    tell: (name, event) => page.evaluate(`tellPage(${JSON.stringify(name)}, ${JSON.stringify(event)})`),
  };
}
