import { randomBytes } from "node:crypto";
import { isIP } from "node:net";
import { encodeMessage, LINK_VERSION, readRelayMessage, type RelayMessage } from "@sockeye/link/messages";
import { type LinkEnd, LinkConnection } from "@sockeye/link/link-connection";
import { WindowBudget } from "@sockeye/wire/mux";
import type { RelayConfig, Secret } from "../config/config.ts";
import { abortReason, DialError, type DialErrorCode, type DialStep } from "../errors.ts";
import { REDACTED } from "../observe/redact.ts";
import { runTest } from "../upstream/step-clock.ts";
import type { TestOptions, UpstreamTestResult } from "../upstream/upstream.ts";
import { clientOptionsOf } from "./client-options.ts";
import { dialRelay, inWords } from "./dial-relay.ts";

/** Connects to a relay as a client with nothing to share, and leaves again: `name`, `tcp`, `tls`, `handshake`, `auth`. */
export function testRelay(
  config: RelayConfig,
  readSecret: (secret: Secret) => Promise<string>,
  options: TestOptions,
): Promise<UpstreamTestResult> {
  return runTest(options, async ({ signal, onStep = () => {} }) => {
    const client = await clientOptionsOf(config, readSecret).catch((error: unknown) => {
      throw new DialError("auth", (error as Error).message, { cause: error });
    });
    if (signal.aborted) throw abortReason(signal);
    let step: DialStep = isIP(client.relay.host) === 0 ? "name" : "tcp";
    const next = (reached: DialStep) => {
      step = reached;
      onStep(reached);
    };
    const failure = (code: DialErrorCode, message: string) => {
      const { token } = client;
      const said = token === undefined || token === "" ? message : message.replaceAll(token, REDACTED);
      return new DialError(code, said, { step, scope: "upstream" });
    };
    onStep(step);
    const socket = dialRelay(client);
    socket.once("lookup", (error: Error | null) => {
      if (step === "name" && !error) next("tcp");
    });
    socket.once("connect", () => next(client.tls === undefined ? "handshake" : "tls"));
    socket.once("secureConnect", () => next("handshake"));
    await new Promise<void>((resolve, reject) => {
      const onMessage = (message: RelayMessage) => {
        if (message.type === "welcome") {
          next("auth");
          resolve();
        } else if (message.type === "refused") {
          if (message.code === "auth") next("auth");
          reject(failure(REFUSALS[message.code] ?? "closed", message.message));
        }
      };
      const link = new LinkConnection(socket, {
        role: "client",
        budget: new WindowBudget(0),
        handler: {
          opened: (stream) => stream.receiver,
          control: (bytes) => onMessage(readRelayMessage(bytes)),
          closed: (end) => reject(failure(codeOf(step, end), reasonOf(step, end))),
        },
      });
      const stop = () => {
        reject(abortReason(signal));
        link.close();
      };
      signal.addEventListener("abort", stop);
      socket.once("close", () => signal.removeEventListener("abort", stop));
      const instance = randomBytes(16).toString("hex");
      link.sendControl(
        encodeMessage({ type: "hello", version: LINK_VERSION, instance, token: client.token }),
      );
    }).finally(() => socket.destroy());
  });
}

/** A relay's refusals as codes of a dial; others are `closed`: trying again may help. */
const REFUSALS: Readonly<Record<string, DialErrorCode>> = {
  auth: "auth",
  version: "unsupported",
  protocol: "protocol",
  limit: "limit",
};

function codeOf(step: DialStep, { code, message }: LinkEnd): DialErrorCode {
  switch (step) {
    case "name":
      return "dns";
    case "tcp":
      if (message.includes("ECONNREFUSED")) return "refused";
      return message.includes("ETIMEDOUT") ? "timeout" : "unreachable";
    case "tls":
      return "tls";
    default:
      return code === "protocol" ? "protocol" : "closed";
  }
}

function reasonOf(step: DialStep, { code, message }: LinkEnd): string {
  return step === "handshake" && code === "protocol" ? "what answers there is no relay" : inWords(message);
}
