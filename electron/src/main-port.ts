import type { MessagePortMain } from "electron/main";
import type { Port } from "@sockeye/engine/control/message-port";

/** Electron's port as the control contract's transport takes it. Its overloaded events are what keeps it from being one. */
export function portOf(port: MessagePortMain): Port {
  return {
    postMessage: (message) => port.postMessage(message),
    start: () => port.start(),
    close: () => port.close(),
    on: (type, listener) => {
      if (type === "message") port.on("message", (event) => listener(event));
      else port.on("close", () => listener({}));
    },
  };
}
