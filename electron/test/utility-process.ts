/**
 * Runs the bundle of the engine's process in plain Node, as `node utility-process.ts BUNDLE`: messages of the channel between
 * Node's processes take the place of Electron's, and each `client` that comes gets a port whose texts go over that channel.
 */
import { EventEmitter } from "node:events";
import { pathToFileURL } from "node:url";
import { MessageChannel, type MessagePort } from "node:worker_threads";

/** What the test sends: a message for the engine's process, or one for the engine's client of that number. */
export type FromTest =
  { readonly to: "process"; readonly message: unknown } | { readonly to: number; readonly message: unknown };
export type ToTest =
  | { readonly from: "process"; readonly message: unknown }
  | { readonly from: number; readonly message: unknown };

const parent = new EventEmitter();
const clients: MessagePort[] = [];
const tell = (message: ToTest): void => void process.send?.(message);

Object.defineProperty(process, "parentPort", {
  value: Object.assign(parent, { postMessage: (message: unknown) => tell({ from: "process", message }) }),
});

process.on("message", (sent: FromTest) => {
  if (sent.to !== "process") {
    clients[sent.to]?.postMessage(sent.message);
    return;
  }
  const isClient = (sent.message as { kind: string }).kind === "client";
  parent.emit("message", { data: sent.message, ports: isClient ? [openClient()] : [] });
});
process.on("disconnect", () => process.exit());

/** @returns the engine's end, as Electron's ports are: their messages come as events with `data`. */
function openClient(): object {
  const { port1, port2 } = new MessageChannel();
  const number = clients.push(port2) - 1;
  port2.on("message", (message: unknown) => tell({ from: number, message }));
  const events = new EventEmitter();
  port1.on("message", (data: unknown) => events.emit("message", { data, ports: [] }));
  port1.on("close", () => events.emit("close"));
  return Object.assign(events, {
    postMessage: (message: unknown) => port1.postMessage(message),
    start: () => port1.start(),
    close: () => port1.close(),
  });
}

await import(pathToFileURL(process.argv[2]!).href);
