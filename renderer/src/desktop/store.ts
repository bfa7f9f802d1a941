import { useEffect, useState } from "react";
import { create } from "zustand";
import { toastFailure } from "../ui/toast.tsx";
import type { DesktopFacts, DesktopSettings, EngineProcess, UpdateState } from "./contract.ts";
import { callShell, shell } from "./shell.ts";

export interface DesktopState {
  readonly settings: DesktopSettings | undefined;
  /** The engine's process; undefined in a browser, where nobody watches over it. */
  readonly engine: EngineProcess | undefined;
  readonly update: UpdateState;
}

/** What the shell says of itself. In a browser it stays empty. */
export const useDesktop = create<DesktopState>(() => ({
  settings: undefined,
  engine: undefined,
  update: { state: "idle" },
}));

/** Called once, at the start. */
export function followShell(): void {
  shell?.on("settings", (settings) => useDesktop.setState({ settings }));
  shell?.on("engine", (engine) => useDesktop.setState({ engine }));
  shell?.on("update", (update) => useDesktop.setState({ update }));
}

export function changeSettings(changes: Partial<DesktopSettings>): void {
  // What the system refuses comes back as it was.
  callShell("settings.write", changes).then((settings) => useDesktop.setState({ settings }), toastFailure);
}

/** Undefined until it is known, and in a browser. */
export function useDesktopFacts(): DesktopFacts | undefined {
  const [facts, setFacts] = useState<DesktopFacts>();
  useEffect(() => {
    if (shell) callShell("facts", {}).then(setFacts, toastFailure);
  }, []);
  return facts;
}
