import { isIP, connect, type Socket } from "node:net";
import type { Endpoint } from "../endpoint.ts";
import { abortReason, DialError } from "../errors.ts";
import type { Dialer, DialOptions, UdpDialer } from "./dialer.ts";
import { DirectUdpDialer } from "./direct-udp.ts";
import { plainHost } from "./plain-host.ts";
import { type Resolver, systemResolver } from "./resolver.ts";
import { toDialError } from "./system-errors.ts";

/**
 * The machine's own network: the ground that every other dialer stands on. Names are resolved by the operating system, and
 * their addresses tried in turn, 250 ms apart, both families mixed (RFC 8305).
 */
export class DirectDialer implements Dialer {
  readonly udp: UdpDialer;
  readonly #resolver: Resolver;

  constructor(resolver = systemResolver) {
    this.#resolver = resolver;
    this.udp = new DirectUdpDialer(resolver);
  }

  /** @throws {DialError} */
  dial(target: Endpoint, options: DialOptions): Promise<Socket> {
    const { signal, onStep } = options;
    const host = plainHost(target.host);
    if (signal.aborted) return Promise.reject(abortReason(signal));
    const wrong = refusal(host, target.port);
    if (wrong) return Promise.reject(wrong);
    return new Promise((resolve, reject) => {
      const byName = isIP(host) === 0;
      onStep?.(byName ? "name" : "tcp");
      const socket = connect({
        host,
        port: target.port,
        lookup: byName ? this.#resolver.lookupFor(options) : undefined,
        autoSelectFamily: true,
        autoSelectFamilyAttemptTimeout: 250,
        noDelay: true,
        allowHalfOpen: true,
      });
      // Until somebody reads, nothing is read; and this way a stream is handed over in the same state by every dialer.
      socket.pause();
      // The event also tells of a name that did not resolve.
      if (byName && onStep) socket.once("lookup", (error: Error | null) => !error && onStep("tcp"));
      const settle = () => {
        signal.removeEventListener("abort", onAbort);
        socket.removeListener("connect", onConnect);
        socket.removeListener("error", onError);
        socket.on("error", ignoreError);
      };
      const onConnect = () => {
        settle();
        resolve(socket);
      };
      const onError = (error: Error) => {
        settle();
        reject(error instanceof DialError ? error : toDialError(error, target));
      };
      const onAbort = () => {
        settle();
        socket.destroy();
        reject(abortReason(signal));
      };
      signal.addEventListener("abort", onAbort);
      socket.on("connect", onConnect);
      socket.on("error", onError);
    });
  }
}

/**
 * Stays on every stream that is handed over, so that an error between two owners is never without a listener. It hides
 * nothing: `close` follows every error.
 */
export function ignoreError(): void {}

/** What the system would take in another sense: no name is this machine to it, and a port out of range an exception. */
function refusal(host: string, port: number): DialError | undefined {
  if (host === "") return new DialError("dns", "the target has no name", { step: "name" });
  if (!(port <= 65_535)) return new DialError("unreachable", `${port} is no port`, { step: "tcp" });
  return undefined;
}
