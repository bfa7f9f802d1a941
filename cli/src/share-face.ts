import { formatEndpoint } from "@sockeye/config-kit/endpoint";
import { scrub } from "@sockeye/engine/observe/redact";
import type { Share, ShareClientOptions } from "@sockeye/engine/share/share";
import type { RefusalCode } from "@sockeye/link/messages";
import { complain, formatDuration, paint, print } from "./output.ts";

type Face = NonNullable<ShareClientOptions["observer"]>;

/** For people: the address on standard output, all else on standard error. @param relay as they wrote it. */
export function peopleFace(relay: string): Face {
  let isConnected = false;
  return {
    connected: () => (isConnected = true),
    shared: (share) => {
      const [best, ...others] = share.addresses;
      print(paint(best!, "bold", process.stdout));
      for (const address of others) print(`  also ${address}`);
      tell(`shares ${formatEndpoint(share.spec.target)}; Ctrl-C ends it`);
    },
    unshared: (_share, code, message) => tell(`not shared: ${message} (${code})`),
    disconnected: (reason, retryMs, code) => {
      const soon = formatDuration(Math.max(1000, retryMs + 500));
      complain(`${troubleWith(relay, reason, code, isConnected)}; trying again in ${soon}`);
      isConnected = false;
    },
    request: (_share, { method, target, status, ms }) => {
      const colour = status >= 500 || status === 0 ? "red" : status >= 400 ? "yellow" : "green";
      const shown = paint(status === 0 ? "---" : String(status), colour, process.stderr);
      tell(`${shown} ${method} ${target} ${Math.round(ms)} ms`);
    },
    moreRequests: (count) => tell(`… and ${count} more`),
    localFailed: (share, failure) => complain(`${formatEndpoint(share.spec.target)}: ${failure.message}`),
  };
}

function troubleWith(
  relay: string,
  reason: string,
  code: RefusalCode | undefined,
  wasConnected: boolean,
): string {
  if (code === "draining") return `the relay ${relay} is about to stop`;
  if (code !== undefined) return `the relay ${relay} refuses: ${reason} (${code})`;
  if (wasConnected) return `the connection to the relay ${relay} was lost: ${reason}`;
  return `the relay ${relay} can't be reached: ${reason}`;
}

/** What a peer chose can't move the cursor. */
function tell(line: string): void {
  process.stderr.write(`${scrub(line).replaceAll("\n", " ")}\n`);
}

/** One object a line on standard output. */
export function jsonFace(): Face {
  const say = (event: string, fields: Record<string, unknown> = {}) =>
    print(JSON.stringify({ event, ...fields }));
  const name = (share: Share) => formatEndpoint(share.spec.target);
  return {
    connected: () => say("connected"),
    shared: (share) => say("shared", { target: name(share), addresses: share.addresses }),
    unshared: (share, code, message) => say("unshared", { target: name(share), code, message }),
    disconnected: (reason, retryMs) => say("disconnected", { reason, retry_ms: Math.round(retryMs) }),
    request: (share, { method, target, status, ms }) =>
      say("request", { target: name(share), method, path: target, status, ms: Math.round(ms) }),
    moreRequests: (count) => say("more_requests", { count }),
    localFailed: (share, { reason, message }) =>
      say("local_failed", { target: name(share), reason, message }),
  };
}
