import assert from "node:assert/strict";
import { beforeEach, mock, afterEach, test } from "node:test";
import type { ConnectionState } from "@sockeye/engine/control/contract";
import { createElectron, StubNotification } from "../test/electron-stub.ts";
import { Notifications } from "./notifications.ts";
import { textsIn } from "./texts.ts";

const TROUBLE: ConnectionState = {
  state: "trouble",
  since: 1,
  cause: "upstream",
  subject: "office",
  message: "office does not answer",
};
const CONNECTED: ConnectionState = { state: "connected", since: 1 };

let hidden: boolean;
let clicks: number;
let notifications: Notifications;

beforeEach(() => {
  mock.timers.enable({ apis: ["setTimeout"] });
  hidden = true;
  clicks = 0;
  notifications = new Notifications({
    electron: createElectron("/").parts,
    say: () => textsIn("en"),
    wanted: () => hidden,
    onClick: () => (clicks += 1),
    settleMs: 100,
  });
  notifications.connection(CONNECTED, "office");
});
afterEach(() => mock.timers.reset());

const shown = (): string[] => StubNotification.made.map(({ title, body }) => `${title}: ${body}`);

test("trouble is told, and its end", () => {
  notifications.connection(TROUBLE, "office");
  mock.timers.tick(100);
  notifications.connection(CONNECTED, "office");
  assert.deepEqual(shown(), [
    "Sockeye has trouble: office does not answer",
    "Connected again: Traffic is carried through office.",
  ]);
  assert.equal(StubNotification.made[0]!.shown, false, "only the newest stands");
  StubNotification.made[1]!.emit("click");
  assert.equal(clicks, 1);
});

test("trouble that passes is not worth a word, and neither is its end", () => {
  for (let i = 0; i < 5; i++) {
    notifications.connection(TROUBLE, "office");
    mock.timers.tick(50);
    notifications.connection(CONNECTED, "office");
    mock.timers.tick(200);
  }
  assert.deepEqual(shown(), []);
});

test("who sees the window, or wants none, is not disturbed", () => {
  hidden = false;
  notifications.connection(TROUBLE, "office");
  mock.timers.tick(100);
  hidden = true;
  notifications.connection(CONNECTED, "office");
  assert.deepEqual(shown(), [], "an end without a beginning says nothing");
});

test("connecting because somebody pressed Connect is no news; going off by itself is", () => {
  notifications.connection({ state: "off" }, "office");
  notifications.connection({ state: "connecting", since: 1 }, "office");
  notifications.connection(CONNECTED, "office");
  assert.deepEqual(shown(), []);
  notifications.connection(
    { state: "off", error: { code: "helper", message: "the helper is gone" } },
    "office",
  );
  assert.deepEqual(shown(), ["Sockeye has trouble: the helper is gone"]);
});

test("an engine that is given up is told", () => {
  notifications.engine({ state: "restarting", attempt: 1, reason: "x", at: 1 });
  notifications.engine({ state: "failed", reason: "x", log: "" });
  assert.deepEqual(shown(), ["Sockeye has trouble: The engine ended and could not be started again."]);
});

test("a system without notifications is no failure", () => {
  StubNotification.supported = false;
  notifications.hint();
  assert.deepEqual(shown(), []);
});
