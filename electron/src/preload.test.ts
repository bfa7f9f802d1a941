import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { EventEmitter } from "node:events";
import { stripTypeScriptTypes } from "node:module";
import { test } from "node:test";
import { createContext, runInContext } from "node:vm";
import type { DesktopBridge } from "@sockeye/renderer/desktop/contract";

type Answer = { ok: true; result: unknown } | { ok: false; message: string };

/** The script itself in a context of its own, with its imports as values. */
function load(answer: (request: unknown) => Answer = () => ({ ok: true, result: undefined })) {
  const ipc = Object.assign(new EventEmitter(), {
    asked: [] as unknown[],
    invoke: async (channel: string, request: unknown) => {
      assert.equal(channel, "sockeye");
      ipc.asked.push(request);
      return answer(request);
    },
  });
  const exposed = new Map<string, unknown>();
  const posted: unknown[][] = [];
  const source = stripTypeScriptTypes(readFileSync(new URL("preload.ts", import.meta.url), "utf8"));
  runInContext(
    source.replaceAll(/^import .*;$/gm, ""),
    createContext({
      ipcRenderer: ipc,
      contextBridge: { exposeInMainWorld: (name: string, value: unknown) => exposed.set(name, value) },
      window: {
        location: { origin: "sockeye-app://interface" },
        postMessage: (...args: unknown[]) => posted.push(args),
      },
      BRIDGE_NAME: "sockeye",
      ENGINE_PORT: "sockeye:engine-port",
      CHANNEL: "sockeye",
    }),
  );
  const bridge = exposed.get("sockeye") as DesktopBridge;
  const say = (name: string, event: unknown) => ipc.emit("sockeye", {}, { kind: "event", name, event });
  return { ipc, exposed, posted, bridge, say };
}

test("a page gets three functions and nothing of Electron's", () => {
  const { exposed, bridge } = load();
  assert.deepEqual([...exposed.keys()], ["sockeye"]);
  assert.deepEqual(Object.keys(bridge).sort(), ["call", "on", "requestEnginePort"]);
});

test("however many listen, there is one subscription, and each stops for itself", () => {
  const { ipc, bridge, say } = load();
  const heard: string[] = [];
  const listener = (event: { state: string }): void => void heard.push(event.state);
  const stops = Array.from({ length: 20 }, () => bridge.on("engine", listener));
  assert.equal(ipc.listenerCount("sockeye"), 1);
  say("engine", { state: "starting" });
  assert.equal(heard.length, 20);
  for (const stop of stops.slice(1)) stop();
  stops[1]!();
  say("engine", { state: "running" });
  assert.equal(heard.length, 21);
  stops[0]!();
  say("engine", { state: "starting" });
  assert.equal(heard.length, 21);
});

test("who comes late hears the newest of what stays, and a link that nobody has heard, once", () => {
  const { bridge, say } = load();
  const heard: unknown[] = [];
  say("engine", { state: "starting" });
  say("engine", { state: "running" });
  say("link", { text: "sockeye://a" });
  bridge.on("engine", (event) => heard.push(event));
  bridge.on("link", (event) => heard.push(event));
  bridge.on("link", (event) => heard.push(event))();
  assert.deepEqual(heard, [{ state: "running" }, { text: "sockeye://a" }]);
  say("link", { text: "sockeye://b" });
  assert.equal(heard.length, 3);
  bridge.on("link", () => assert.fail("it was heard already"));
});

test("a refusal is an error with its sentence", async () => {
  const { bridge } = load((request) =>
    (request as { kind: string }).kind === "call"
      ? { ok: false, message: "it is taken" }
      : { ok: true, result: 1 },
  );
  await assert.rejects(bridge.call("settings.write", { shortcut: "X" }), /^Error: it is taken$/);
});

test("it says hello, asks for ports, and hands them to the page alone", () => {
  const { ipc, bridge, posted } = load();
  bridge.requestEnginePort();
  assert.deepEqual(JSON.parse(JSON.stringify(ipc.asked)), [{ kind: "hello" }, { kind: "engine-port" }]);
  const ports = [{}];
  ipc.emit("sockeye", { ports }, { kind: "engine-port" });
  assert.deepEqual(posted, [["sockeye:engine-port", "sockeye-app://interface", ports]]);
});
