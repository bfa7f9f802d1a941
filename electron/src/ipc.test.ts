import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import type { MessagePortMain } from "electron/main";
import { desktopCalls } from "@sockeye/renderer/desktop/contract";
import fc from "fast-check";
import { StubContents } from "../test/electron-stub.ts";
import { Page, type DesktopHandlers } from "./ipc.ts";
import type { IpcEvent } from "./parts.ts";

let contents: StubContents;
let receive: (event: IpcEvent, message: unknown) => Promise<unknown>;
let page: Page;
let port: MessagePortMain | undefined;
const asked: unknown[] = [];
const opaquePort = (): never => ({}) as never;

const refuse = (): Promise<never> => Promise.reject(new Error("not in this test"));
const handlers: DesktopHandlers = {
  facts: refuse,
  "settings.read": refuse,
  "settings.write": async (params) => {
    asked.push(params);
    // Not what the contract says: an answer is checked too.
    return { theme: 7 } as never;
  },
  "file.save": refuse,
  "file.open": refuse,
  "clipboard.read": async () => ({ text: "hello" }),
  "clipboard.write": async (params) => {
    asked.push(params);
    return {};
  },
  "engine.restart": refuse,
  "config.read": refuse,
  "config.write": refuse,
  "config.open": refuse,
  "engine.log": refuse,
  "helper.install": async (params) => {
    asked.push(params);
    return { ok: true };
  },
  "helper.remove": refuse,
  "update.check": refuse,
  "update.install": refuse,
  "help.open": refuse,
};

beforeEach(() => {
  contents = new StubContents(1);
  asked.length = 0;
  port = undefined;
  let handler: typeof receive | undefined;
  page = new Page({
    ipcMain: { handle: (_channel, listener) => void (handler = listener) },
    handlers,
    contents: () => contents,
    openEnginePort: () => port,
  });
  receive = handler!;
});

const call = (name: string, params: unknown = {}) => ({ kind: "call", name, params });

test("a call of our page is answered", async () => {
  assert.deepEqual(await receive(contents.event(), call("clipboard.read")), {
    ok: true,
    result: { text: "hello" },
  });
});

const foreign: readonly (readonly [string, () => IpcEvent])[] = [
  ["another window", () => new StubContents(2).event()],
  ["a frame within the page", () => contents.event({ origin: "sockeye-app://interface" })],
  ["a frame that is gone", () => contents.event(null)],
  [
    "our window showing another origin",
    () => {
      const mainFrame = { origin: "https://example.com" };
      return { sender: { id: 1, mainFrame }, senderFrame: mainFrame };
    },
  ],
];
for (const [who, event] of foreign) {
  test(`${who} is not listened to`, async () => {
    for (const message of [
      call("clipboard.write", { text: "x" }),
      { kind: "hello" },
      { kind: "engine-port" },
    ])
      assert.deepEqual(await receive(event(), message), {
        ok: false,
        message: "this page may not ask anything",
      });
    assert.deepEqual(asked, []);
    assert.deepEqual(contents.sent, []);
  });
}

const wrong: readonly unknown[] = [
  undefined,
  null,
  "call",
  {},
  { kind: "call" },
  { kind: "call", name: "facts", params: {}, more: 1 },
  call("toString"),
  call("__proto__"),
  call("constructor"),
  call("nothing"),
  call("clipboard.write"),
  call("clipboard.write", { text: 7 }),
  call("clipboard.write", { text: "x", also: "y" }),
  call("helper.install", { path: "/tmp/evil" }),
  call("help.open", { page: "https://example.com" }),
  call("file.save", { name: "", text: "x" }),
];
test("what is not of the contract is refused before anything is done", async () => {
  for (const message of wrong) {
    const answer = (await receive(contents.event(), message)) as { ok: boolean };
    assert.equal(answer.ok, false, JSON.stringify(message));
  }
  assert.deepEqual(asked, []);
});

test("whatever a page sends, the answer is a refusal in words, and nothing is done", async () => {
  const kinds = fc.constantFrom("Call", "hello!", "engine-port ", "event", "__proto__", "");
  const names = fc.oneof(fc.constantFrom(...Object.keys(desktopCalls)), fc.string());
  const message = fc.oneof(
    fc.anything({ withBigInt: true, withMap: true, withTypedArray: true, withNullPrototype: true }),
    fc.record({ kind: kinds, name: names, params: fc.anything() }, { requiredKeys: [] }),
    // Of the right form, with one key too many: parameters of no call.
    fc.record({
      kind: fc.constant("call"),
      name: names,
      params: fc.record({ sockeye: fc.anything() }, { requiredKeys: ["sockeye"] }),
    }),
  );
  await fc.assert(
    fc.asyncProperty(message, async (sent) => {
      const answer = (await receive(contents.event(), sent)) as { ok: boolean; message: string };
      assert.equal(answer.ok, false);
      assert.ok(answer.message.length > 0 && answer.message.length < 200);
    }),
    { numRuns: 500 },
  );
  assert.deepEqual([asked, contents.sent], [[], []]);
});

test("an answer of ours that is not of the contract does not leave", async () => {
  const answer = (await receive(contents.event(), call("settings.write", { theme: "dark" }))) as {
    ok: boolean;
  };
  assert.equal(answer.ok, false);
  assert.deepEqual(asked, [{ theme: "dark" }]);
});

test("a failure is its sentence", async () => {
  assert.deepEqual(await receive(contents.event(), call("facts")), {
    ok: false,
    message: "not in this test",
  });
});

test("who says hello hears the newest of what stays, and what nobody has heard, once", async () => {
  page.tell("engine", { state: "starting" });
  page.tell("engine", { state: "running" });
  page.tell("link", { text: "sockeye://a" });
  assert.deepEqual(contents.sent, []);
  await receive(contents.event(), { kind: "hello" });
  const told = contents.sent.map(({ message }) => message);
  assert.deepEqual(told, [
    { kind: "event", name: "engine", event: { state: "running" } },
    { kind: "event", name: "link", event: { text: "sockeye://a" } },
  ]);
  page.tell("navigate", { page: "logs" });
  assert.equal(contents.sent.length, 3);
  await receive(contents.event(), { kind: "hello" });
  assert.equal(contents.sent.length, 4, "the link and the page are not said again");
});

test("a window that is made anew is told nothing until it says hello", async () => {
  await receive(contents.event(), { kind: "hello" });
  contents = new StubContents(2);
  page.tell("engine", { state: "running" });
  assert.deepEqual(contents.sent, []);
});

test("a port to the engine is handed over where there is an engine", async () => {
  await receive(contents.event(), { kind: "engine-port" });
  assert.deepEqual(contents.sent, []);
  port = opaquePort();
  await receive(contents.event(), { kind: "engine-port" });
  assert.deepEqual(contents.sent, [{ channel: "sockeye", message: { kind: "engine-port" }, ports: 1 }]);
});
