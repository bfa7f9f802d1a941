import type { MessagePortMain } from "electron/main";
import * as z from "zod";
import {
  desktopCalls,
  desktopEvents,
  type DesktopCallName,
  type DesktopEvent,
  type DesktopEventName,
  type DesktopParams,
  type DesktopResult,
} from "@sockeye/renderer/desktop/contract";
import { INTERFACE_ORIGIN } from "./interface-protocol.ts";
import { CHANNEL, type PageAnswer, type PageMessage } from "./ipc-channel.ts";
import type { ContentsPart, IpcEvent, IpcPart } from "./parts.ts";

/** What the shell does for each of the contract's calls. A sentence that it throws reaches the person. */
export type DesktopHandlers = {
  [Name in DesktopCallName]: (params: DesktopParams<Name>) => Promise<DesktopResult<Name>>;
};

/** Events of which a page that comes late wants the last. The others are told once. */
const REMEMBERED: readonly DesktopEventName[] = ["engine", "settings", "update"];

const pageRequest = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("call"), name: z.string().max(64), params: z.unknown() }),
  z.strictObject({ kind: z.literal("hello") }),
  z.strictObject({ kind: z.literal("engine-port") }),
]);

export interface PageOptions {
  readonly ipcMain: IpcPart;
  readonly handlers: DesktopHandlers;
  /** The page of our window; absent while there is none. */
  readonly contents: () => ContentsPart | undefined;
  /** @returns one end of a new way to the engine; absent while there is no engine. */
  readonly openEnginePort: () => MessagePortMain | undefined;
}

/** The main process's side of the page: answers its calls, and tells it what happens. */
export class Page {
  readonly #options: PageOptions;
  readonly #last = new Map<DesktopEventName, PageMessage>();
  /** Told to nobody yet, because no page was listening: the newest of each name. */
  readonly #untold = new Map<DesktopEventName, PageMessage>();
  /** The page that has said hello, by its number: a window that is made anew has another. */
  #listening: number | undefined;

  constructor(options: PageOptions) {
    this.#options = options;
    options.ipcMain.handle(CHANNEL, (event, request) => this.#receive(event, request));
  }

  /** @throws {z.ZodError} where the event is not of the contract: a defect of ours. */
  tell<Name extends DesktopEventName>(name: Name, event: DesktopEvent<Name>): void {
    // The compiler can't follow that a name and an event that belong together make one of the messages.
    const message = { kind: "event", name, event: desktopEvents[name].parse(event) } as PageMessage;
    if (REMEMBERED.includes(name)) this.#last.set(name, message);
    const contents = this.#listener();
    if (contents !== undefined) contents.postMessage(CHANNEL, message);
    else if (!REMEMBERED.includes(name)) this.#untold.set(name, message);
  }

  #listener(): ContentsPart | undefined {
    const contents = this.#options.contents();
    return contents?.id === this.#listening && contents?.isDestroyed() === false ? contents : undefined;
  }

  async #receive(event: IpcEvent, message: unknown): Promise<PageAnswer> {
    const contents = this.#options.contents();
    if (contents === undefined || !isFromInterface(event, contents)) {
      return { ok: false, message: "this page may not ask anything" };
    }
    const request = pageRequest.safeParse(message);
    if (!request.success) return { ok: false, message: "not a message of the shell's" };
    switch (request.data.kind) {
      case "hello":
        this.#greet(contents);
        return { ok: true, result: undefined };
      case "engine-port":
        this.#handOverPort(contents);
        return { ok: true, result: undefined };
      case "call":
        return this.#call(request.data.name, request.data.params);
    }
  }

  #greet(contents: ContentsPart): void {
    this.#listening = contents.id;
    for (const message of [...this.#last.values(), ...this.#untold.values()]) {
      contents.postMessage(CHANNEL, message);
    }
    this.#untold.clear();
  }

  /** Without an engine nothing comes: the page asks again when it hears that the engine runs. */
  #handOverPort(contents: ContentsPart): void {
    const port = this.#options.openEnginePort();
    if (port !== undefined) {
      contents.postMessage(CHANNEL, { kind: "engine-port" } satisfies PageMessage, [port]);
    }
  }

  async #call(name: string, params: unknown): Promise<PageAnswer> {
    if (!isCall(name)) return { ok: false, message: "the shell has no call of that name" };
    const checked = desktopCalls[name].params.safeParse(params);
    if (!checked.success) return { ok: false, message: `wrong parameters of "${name}"` };
    // The compiler can't follow that desktopCalls[name] has checked just what handlers[name] takes.
    const handle = this.#options.handlers[name] as (params: unknown) => Promise<unknown>;
    try {
      return { ok: true, result: desktopCalls[name].result.parse(await handle(checked.data)) };
    } catch (error) {
      return { ok: false, message: error instanceof Error ? error.message : String(error) };
    }
  }
}

/** The main frame of our own window, showing our own interface. Another frame, window or origin has no business here. */
function isFromInterface(event: IpcEvent, contents: ContentsPart): boolean {
  const { sender, senderFrame } = event;
  return (
    sender.id === contents.id &&
    senderFrame !== null &&
    senderFrame === sender.mainFrame &&
    senderFrame.origin === INTERFACE_ORIGIN
  );
}

function isCall(name: string): name is DesktopCallName {
  return Object.hasOwn(desktopCalls, name);
}
