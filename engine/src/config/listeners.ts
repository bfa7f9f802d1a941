import { isIPv6 } from "node:net";
import { type Endpoint, parseEndpoint } from "../endpoint.ts";
import type { Finding, Path } from "@sockeye/config-kit/problem";
import { isMapping, mappingOf, textOf, valueAt } from "@sockeye/config-kit/tree";

/** Addresses given beside the file, by flags, which take the place of the file's own. Already checked as `host:port`. */
export interface GivenListeners {
  readonly socks5?: string | undefined;
  readonly http?: string | undefined;
  readonly metrics?: string | undefined;
}

interface Listener {
  readonly name: string;
  readonly path: Path;
  readonly endpoint: Endpoint;
  /** Its address is not the file's. */
  readonly beside: boolean;
}

function listenersIn(root: unknown, given: GivenListeners): Listener[] {
  return (["socks5", "http", "metrics", "control"] as const).flatMap((name): Listener[] => {
    const inline: Path = ["listen", name];
    const path = textOf(valueAt(root, inline)) === undefined ? [...inline, "address"] : inline;
    const flag = name === "control" ? undefined : given[name];
    const address = flag ?? textOf(valueAt(root, path));
    if (address === undefined) return [];
    try {
      return [{ name, path, endpoint: parseEndpoint(address), beside: flag !== undefined }];
    } catch {
      return []; // The schema tells of it.
    }
  });
}

/** Listeners on one address, and a control interface that is not on loopback. */
export function checkListeners(root: unknown, given: GivenListeners): Finding[] {
  const listeners = listenersIn(root, given);
  return listeners.flatMap((listener, i): Finding[] => {
    const { name, path, endpoint, beside } = listener;
    const findings: Finding[] = [];
    const rival = listeners.slice(0, i).find((earlier) => collide(earlier.endpoint, endpoint));
    if (rival) {
      const message = `${name} and ${rival.name} listen on the same address; give one of them another port`;
      // Of two, the one that the file has is shown.
      const shown = beside ? rival : listener;
      findings.push({ path: shown.path, part: "value", message, beside: shown.beside });
    }
    if (name === "control" && !isLoopback(endpoint.host)) {
      const message = `control listens on this machine alone; write 127.0.0.1:${endpoint.port}`;
      findings.push({ path, part: "value", message });
    }
    return findings;
  });
}

function collide(a: Endpoint, b: Endpoint): boolean {
  if (a.port !== b.port || a.port === 0) return false;
  const [hostA, hostB] = [listenHost(a.host), listenHost(b.host)];
  if (hostA === hostB || hostA === "::" || hostB === "::") return true;
  return (hostA === "0.0.0.0" && !isIPv6(hostB)) || (hostB === "0.0.0.0" && !isIPv6(hostA));
}

function listenHost(host: string): string {
  return host.toLowerCase() === "localhost" ? "127.0.0.1" : host.toLowerCase();
}

/** True for this machine itself. */
export function isLoopback(host: string): boolean {
  return /^127\.\d+\.\d+\.\d+$/.test(listenHost(host)) || host === "::1";
}

/** Listeners that anybody may use, and none that an application may. */
export function warnOfListeners(root: unknown, given: GivenListeners): Finding[] {
  const listeners = listenersIn(root, given).filter(({ name }) => name === "socks5" || name === "http");
  const open = listeners.filter(
    ({ name, endpoint }) =>
      !isLoopback(endpoint.host) && valueAt(root, ["listen", name, "auth"]) === undefined,
  );
  const findings = open.map(({ name, path, beside }): Finding => {
    const message = `whoever reaches ${name} can use every upstream; add auth, or listen on 127.0.0.1`;
    return { path, part: "value", message, beside };
  });
  const listen = mappingOf(valueAt(root, ["listen"]));
  const none = [listen["socks5"], listen["http"], given.socks5, given.http].every((one) => one === undefined);
  // A file that is no mapping has a worse fault than this.
  const captures = String(valueAt(root, ["tun", "enabled"])) === "true";
  const shares = Object.keys(mappingOf(valueAt(root, ["shares"]))).length > 0;
  if (none && !captures && !shares && isMapping(root)) {
    const message = "no application can connect; add listen: { socks5: 127.0.0.1:1080 }";
    findings.push({ path: ["listen"], part: "key", message });
  }
  return findings;
}
