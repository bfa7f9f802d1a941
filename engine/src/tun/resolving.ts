import { createSocket, type Socket } from "node:dgram";
import { getServers } from "node:dns";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { askDirectly, type DnsSockets } from "../dns/over-udp.ts";
import type { AskServer } from "../dns/path.ts";
import { StubResolver } from "../dns/stub-resolver.ts";
import { originalResolvConf } from "../dns/system-settings.ts";
import { DirectDialer } from "../upstream/direct.ts";
import type { Egress, SocketSource } from "../upstream/egress.ts";
import { Resolver } from "../upstream/resolver.ts";

/** Questions under way at one time while names are asked for by our own sockets, which hold no thread. */
const MAX_RUNNING = 64;

/** How this machine's own names are resolved while its traffic is captured: past the device. */
export interface Resolving {
  readonly stub: StubResolver;
  /** Asks a server over the machine's own network. */
  readonly askDirectly: AskServer;
  /** Back to the system's way. */
  close(): void;
}

/**
 * Resolves names by our own questions, with sockets that are not captured, from now on. The name servers are those of before
 * anything was changed.
 */
export function resolvePast(source: SocketSource, egress: Egress, resolver: Resolver): Resolving {
  const sockets: DnsSockets = {
    udp: (family, server) => openSocket(source, family, server),
    // Servers are addresses, so nothing is resolved here.
    tcp: new DirectDialer(new Resolver(), egress),
  };
  const ask = askDirectly(sockets);
  const stub = new StubResolver({
    resolvConf: systemResolvConf(),
    hosts: readText(hostsFile()) ?? "",
    ask,
  });
  resolver.use({ getAddrInfo: stub.getAddrInfo, maxRunning: MAX_RUNNING });
  return { stub, askDirectly: ask, close: () => resolver.use() };
}

async function openSocket(source: SocketSource, family: 4 | 6, server: string): Promise<Socket> {
  const taken = await source.take(family, "dgram", server);
  const socket = createSocket(family === 4 ? "udp4" : "udp6");
  if (typeof taken === "number") socket.bind({ fd: taken });
  else socket.bind(0, taken);
  return socket;
}

/** What names the system's servers, as it is now. Windows has no such file, but Node knows its adapters' servers. */
export function systemResolvConf(): string {
  if (process.platform !== "win32") return originalResolvConf(readText);
  return getServers()
    .map((server) => `nameserver ${server.replace(/^\[(.*)\].*$/, "$1")}`)
    .join("\n");
}

function hostsFile(): string {
  if (process.platform !== "win32") return "/etc/hosts";
  return join(process.env["SystemRoot"] ?? "C:\\Windows", "System32\\drivers\\etc\\hosts");
}

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}
