import assert from "node:assert/strict";
import { mock, test } from "node:test";
import type { ConnectionState } from "@sockeye/engine/control/contract";
import { createElectron, StubTray } from "../test/electron-stub.ts";
import type { EngineSnapshot } from "./engine-view.ts";
import { textsIn, type Language } from "./texts.ts";
import { hasTray } from "./tray-presence.ts";
import { TrayIcon } from "./tray.ts";

const SNAPSHOT: EngineSnapshot = {
  connection: { state: "connected", since: 1 },
  default: "office",
  tunEnabled: false,
  upstreams: [
    { name: "direct", state: "connected" },
    { name: "office", state: "connected", latencyMs: 23.4 },
    { name: "R&D", state: "idle" },
  ],
};

function make(platform: NodeJS.Platform = "linux") {
  const electron = createElectron("/");
  const done: string[] = [];
  let language: Language = "en";
  let starting = false;
  const icon = new TrayIcon({
    electron: electron.parts,
    platform,
    folder: "/icons",
    actions: {
      setConnected: (on) => done.push(`connect ${on}`),
      setDefault: (name) => done.push(`default ${name}`),
      setTun: (on) => done.push(`tun ${on}`),
      open: () => done.push("open"),
      openUpstreams: () => done.push("upstreams"),
      quit: () => done.push("quit"),
    },
    say: () => textsIn(language),
    isStarting: () => starting,
  });
  return {
    icon,
    done,
    tray: StubTray.made.at(-1)!,
    speak: (next: Language) => (language = next),
    starts: (next: boolean) => (starting = next),
  };
}

test("the menu has the switch, the upstreams with their latency, TUN mode, the window and the end", () => {
  const { icon, tray, done } = make();
  icon.update(SNAPSHOT);
  const shown = tray.items.map(({ label, type, checked }) => [label, type, checked]);
  assert.deepEqual(shown, [
    ["Connected", undefined, undefined],
    ["Connect", "checkbox", true],
    [undefined, "separator", undefined],
    ["Default upstream", undefined, undefined],
    ["Direct", "radio", false],
    ["office  ·  25 ms", "radio", true],
    ["R&&D", "radio", false],
    [undefined, "separator", undefined],
    ["TUN mode", "checkbox", false],
    [undefined, "separator", undefined],
    ["Open Sockeye", undefined, undefined],
    ["Quit Sockeye", undefined, undefined],
  ]);
  for (const label of ["Connect", "Direct", "R&&D", "TUN mode", "Open Sockeye", "Quit Sockeye"])
    tray.choose(label);
  assert.deepEqual(done, ["connect false", "default direct", "default R&D", "tun true", "open", "quit"]);
});

test("each state has a picture and a line of its own", () => {
  const { icon, tray, starts } = make();
  const states: readonly ConnectionState[] = [
    { state: "off" },
    { state: "connecting", since: 1 },
    { state: "connected", since: 1 },
    { state: "trouble", since: 1, cause: "upstream", subject: "office", message: "office does not answer" },
  ];
  const seen = states.map((connection) => {
    icon.update({ ...SNAPSHOT, connection });
    return [tray.images.at(-1), tray.toolTip];
  });
  assert.deepEqual(seen, [
    ["/icons/off.png", "Sockeye: Off"],
    ["/icons/connecting.png", "Sockeye: Connecting…"],
    ["/icons/connected.png", "Sockeye: Connected"],
    ["/icons/trouble.png", "Sockeye: Trouble: office does not answer"],
  ]);
  icon.update(undefined);
  assert.equal(tray.toolTip, "Sockeye: The engine is not running");
  assert.equal(tray.images.at(-1), "/icons/trouble.png");
  starts(true);
  icon.update(undefined);
  assert.equal(tray.images.at(-1), "/icons/connecting.png");
});

test("without an engine nothing can be switched, and the app can still be opened and ended", () => {
  const { icon, tray, done } = make();
  icon.update(undefined);
  assert.throws(() => tray.choose("Connect"));
  assert.throws(() => tray.choose("TUN mode"));
  tray.choose("Open Sockeye");
  tray.choose("Quit Sockeye");
  assert.deepEqual(done, ["open", "quit"]);
});

test("what has not changed is not set again: an open menu stays open, and nothing flickers", () => {
  const { icon, tray } = make();
  icon.update(SNAPSHOT);
  const [menus, images] = [tray.menus.length, tray.images.length];
  for (let i = 0; i < 50; i++) icon.update({ ...SNAPSHOT, upstreams: [...SNAPSHOT.upstreams] });
  assert.equal(tray.menus.length, menus);
  assert.equal(tray.images.length, images);
});

test("latencies that move are shown now and then, not each time", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    const { icon, tray } = make();
    icon.update(SNAPSHOT);
    const menus = tray.menus.length;
    for (let ms = 30; ms <= 90; ms += 5) {
      const upstreams = SNAPSHOT.upstreams.map((each) =>
        each.name === "office" ? { ...each, latencyMs: ms } : each,
      );
      icon.update({ ...SNAPSHOT, upstreams });
    }
    assert.equal(tray.menus.length, menus);
    mock.timers.tick(5_000);
    assert.equal(tray.menus.length, menus + 1);
    assert.ok(tray.items.some(({ label }) => label === "office  ·  90 ms"));
  } finally {
    mock.timers.reset();
  }
});

test("a choice that came to nothing is unticked again", () => {
  const { icon, tray } = make();
  icon.update(SNAPSHOT);
  const menus = tray.menus.length;
  icon.redraw();
  assert.equal(tray.menus.length, menus + 1);
});

test("many upstreams do not make an endless menu, and the chosen one is in it", () => {
  const { icon, tray, done } = make();
  const upstreams = Array.from({ length: 100 }, (_, i) => ({ name: `u${i}`, state: "idle" as const }));
  icon.update({ ...SNAPSHOT, upstreams, default: "u99" });
  const radios = tray.items.filter(({ type }) => type === "radio");
  assert.equal(radios.length, 25);
  assert.deepEqual(
    radios.filter(({ checked }) => checked).map(({ label }) => label),
    ["u99"],
  );
  tray.choose("More in the window…");
  assert.deepEqual(done, ["upstreams"]);
});

test("where everything else is blocked, no upstream looks chosen", () => {
  const { icon, tray } = make();
  icon.update({ ...SNAPSHOT, default: "block" });
  assert.deepEqual(
    tray.items.filter(({ checked, type }) => type === "radio" && checked).map(({ label }) => label),
    ["Block"],
  );
});

test("it speaks the person's language", () => {
  const { icon, tray, speak } = make();
  speak("de");
  icon.update(SNAPSHOT);
  assert.ok(tray.items.some(({ label }) => label === "Sockeye beenden"));
});

test("macOS gets template pictures, Windows icons and a click", () => {
  assert.equal(make("darwin").tray.images[0], "/icons/connectingTemplate.png");
  const { tray, done } = make("win32");
  assert.equal(tray.images[0], "/icons/connecting.ico");
  tray.emit("click");
  assert.deepEqual(done, ["open"]);
});

test("stock GNOME has no tray: the session bus knows, and where nobody knows there is none", async () => {
  const answer = (text: string) => hasTray("linux", 0, async () => text);
  assert.equal(await answer("(true,)"), true);
  assert.equal(await answer("(false,)"), false);
  assert.equal(await answer("   boolean true"), true);
  const programs: string[] = [];
  const none = await hasTray("linux", 60_000, (program) => {
    programs.push(program);
    return Promise.reject(new Error("not installed"));
  });
  assert.equal(none, false);
  assert.deepEqual(programs, ["gdbus", "dbus-send"]);
  assert.equal(await hasTray("darwin", 0, () => assert.fail("nobody is asked")), true);
});

test("a panel that is still to come is asked for again, for a while", async () => {
  let asked = 0;
  const late = async (): Promise<string> => (++asked < 3 ? "(false,)" : "(true,)");
  assert.equal(await hasTray("linux", 20_000, late), true);
  assert.equal(asked, 3);
  assert.equal(await hasTray("linux", 10, async () => "(false,)"), false);
});
