/**
 * Runs beside the page, sandboxed. It puts the few functions of DesktopBridge on `window` and nothing else: no page ever gets
 * hold of ipcRenderer. One subscription serves all listeners.
 */
import { contextBridge, ipcRenderer } from "electron/renderer";
import type {
  DesktopBridge,
  DesktopCallName,
  DesktopEvent,
  DesktopEventName,
  DesktopResult,
} from "@sockeye/renderer/desktop/contract";
import { BRIDGE_NAME, ENGINE_PORT } from "@sockeye/renderer/desktop/names";
import { CHANNEL, type PageAnswer, type PageMessage, type PageRequest } from "./ipc-channel.ts";

/** The page's window, as far as it is used here; types of the DOM would say nothing true about the rest of this workspace. */
declare const window: {
  readonly location: { readonly origin: string };
  postMessage(message: unknown, origin: string, transfer: readonly object[]): void;
};

const listeners = new Map<DesktopEventName, Set<(event: never) => void>>();
/** The last event of each name. Those that were told once are dropped when somebody has heard them. */
const last = new Map<DesktopEventName, unknown>();
const toldOnce: readonly DesktopEventName[] = ["link", "navigate"];

const bridge: DesktopBridge = {
  call: (name, params) => call(name, params),
  on: (name, listener) => listen(name, listener),
  requestEnginePort: () => void ask({ kind: "engine-port" }),
};

ipcRenderer.on(CHANNEL, (event, message: PageMessage) => {
  if (message.kind === "event") hear(message.name, message.event);
  else window.postMessage(ENGINE_PORT, window.location.origin, event.ports);
});
contextBridge.exposeInMainWorld(BRIDGE_NAME, bridge);
void ask({ kind: "hello" });

async function call<Name extends DesktopCallName>(name: Name, params: unknown): Promise<DesktopResult<Name>> {
  const answer = await ask({ kind: "call", name, params });
  if (!answer.ok) throw new Error(answer.message);
  // The main process checked it against the contract.
  return answer.result as DesktopResult<Name>;
}

function ask(request: PageRequest): Promise<PageAnswer> {
  return ipcRenderer.invoke(CHANNEL, request) as Promise<PageAnswer>;
}

function listen<Name extends DesktopEventName>(
  name: Name,
  listener: (event: DesktopEvent<Name>) => void,
): () => void {
  const heard = listeners.get(name) ?? new Set();
  listeners.set(name, heard);
  // One function may listen twice: each time stops for itself.
  const own = (event: DesktopEvent<Name>): void => listener(event);
  heard.add(own);
  if (last.has(name)) own(last.get(name) as DesktopEvent<Name>);
  if (toldOnce.includes(name)) last.delete(name);
  return () => void heard.delete(own);
}

function hear<Name extends DesktopEventName>(name: Name, event: DesktopEvent<Name>): void {
  const heard = listeners.get(name);
  if (!toldOnce.includes(name) || heard === undefined || heard.size === 0) last.set(name, event);
  for (const listener of heard ?? []) (listener as (event: DesktopEvent<Name>) => void)(event);
}
