import type { ShareInfo, ShareList } from "@sockeye/engine/control/contract";
import { useState } from "react";
import { useStream } from "../../engine/engine.ts";
import type { MarkState } from "../../ui/state-mark.tsx";

/** Undefined before the first answer. */
export function useShares(): ShareList | undefined {
  const [list, setList] = useState<ShareList>();
  useStream("shares", {}, setList);
  return list;
}

export const markOf: Readonly<Record<ShareInfo["state"]["state"], MarkState>> = {
  stopped: "off",
  connecting: "connecting",
  live: "connected",
  "target-down": "trouble",
  reconnecting: "connecting",
  refused: "trouble",
};
