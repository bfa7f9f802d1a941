import type { DesktopCallName, DesktopEvent, DesktopEventName } from "@sockeye/renderer/desktop/contract";

/** The one channel between the page and the main process. */
export const CHANNEL = "sockeye";

/** What the preload script asks. It comes from a page, so it is checked before it counts as this. */
export type PageRequest =
  | { readonly kind: "call"; readonly name: DesktopCallName; readonly params: unknown }
  /** The page listens from now on: it is told the newest of everything. */
  | { readonly kind: "hello" }
  | { readonly kind: "engine-port" };

export type PageAnswer =
  { readonly ok: true; readonly result: unknown } | { readonly ok: false; readonly message: string };

/** What the page is told. */
export type PageMessage =
  | {
      [Name in DesktopEventName]: {
        readonly kind: "event";
        readonly name: Name;
        readonly event: DesktopEvent<Name>;
      };
    }[DesktopEventName]
  /** With a port. */
  | { readonly kind: "engine-port" };
