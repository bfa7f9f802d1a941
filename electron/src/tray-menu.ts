import type { MenuItemConstructorOptions } from "electron/main";
import type { EngineSnapshot } from "./engine-view.ts";
import type { Say } from "./texts.ts";

/** What the tray's picture shows. Each has a shape of its own: colour alone tells some people nothing. */
export type TrayState = "off" | "connecting" | "connected" | "trouble";

/** The tray's menu has room for so many; the window has all. */
const MAX_UPSTREAMS = 24;

export interface TrayActions {
  setConnected(on: boolean): void;
  setDefault(name: string): void;
  setTun(enabled: boolean): void;
  open(): void;
  openUpstreams(): void;
  quit(): void;
}

/** An engine that is not there is trouble: nothing is carried, whatever was asked for. */
export function trayState(snapshot: EngineSnapshot | undefined, starting: boolean): TrayState {
  if (snapshot === undefined) return starting ? "connecting" : "trouble";
  return snapshot.connection.state;
}

/** One line that says how it is: the tooltip, and the menu's first line. */
export function trayLine(snapshot: EngineSnapshot | undefined, starting: boolean, say: Say): string {
  if (snapshot === undefined) return say(starting ? "stateConnecting" : "stateNoEngine");
  switch (snapshot.connection.state) {
    case "off":
      return say("stateOff");
    case "connecting":
      return say("stateConnecting");
    case "connected":
      return say("stateConnected");
    case "trouble":
      return `${say("stateTrouble")}: ${shortened(snapshot.connection.message)}`;
  }
}

export function trayMenu(
  snapshot: EngineSnapshot | undefined,
  line: string,
  actions: TrayActions,
  say: Say,
): MenuItemConstructorOptions[] {
  const there = snapshot !== undefined;
  const on = there && snapshot.connection.state !== "off";
  return [
    { label: line, enabled: false },
    {
      label: say("connect"),
      type: "checkbox",
      checked: on,
      enabled: there,
      click: () => actions.setConnected(!on),
    },
    { type: "separator" },
    { label: say("upstreams"), enabled: false },
    ...upstreamItems(snapshot, actions, say),
    { type: "separator" },
    {
      label: say("tun"),
      type: "checkbox",
      checked: there && snapshot.tunEnabled,
      enabled: there,
      click: () => actions.setTun(snapshot?.tunEnabled !== true),
    },
    { type: "separator" },
    { label: say("open"), click: () => actions.open() },
    { label: say("quit"), click: () => actions.quit() },
  ];
}

function upstreamItems(
  snapshot: EngineSnapshot | undefined,
  actions: TrayActions,
  say: Say,
): MenuItemConstructorOptions[] {
  if (snapshot === undefined) return [];
  const shown = snapshot.upstreams.slice(0, MAX_UPSTREAMS);
  const isShown = shown.some(({ name }) => name === snapshot.default);
  const rest = isShown ? [] : snapshot.upstreams.filter(({ name }) => name === snapshot.default);
  const items: MenuItemConstructorOptions[] = [...shown, ...rest].map(({ name, latencyMs }) => {
    const label = name === "direct" ? say("direct") : withoutMnemonics(name);
    return {
      label: latencyMs === undefined ? label : `${label}  ·  ${rounded(latencyMs)} ms`,
      type: "radio",
      checked: name === snapshot.default,
      click: () => actions.setDefault(name),
    };
  });
  // No upstream, but a default that can be: without it another would look chosen.
  if (snapshot.default === "block") items.push({ label: say("block"), type: "radio", checked: true });
  if (snapshot.upstreams.length > MAX_UPSTREAMS) {
    items.push({ label: say("more"), click: () => actions.openUpstreams() });
  }
  return items;
}

/** Coarse enough that a menu does not change with every measurement. */
function rounded(milliseconds: number): number {
  const step = milliseconds < 20 ? 1 : milliseconds < 100 ? 5 : 10;
  return Math.max(1, Math.round(milliseconds / step) * step);
}

/** In a menu an ampersand underlines the letter after it. */
function withoutMnemonics(name: string): string {
  return name.replaceAll("&", "&&");
}

function shortened(sentence: string): string {
  return sentence.length <= 80 ? sentence : `${sentence.slice(0, 79)}…`;
}
