import { connect as connectTcp, isIP, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import type { ShareClientOptions } from "./share.ts";

/**
 * Begins a connection to a relay. Whoever asks owns the socket, and listens to its errors at once.
 * @param port another one than that of the control listener.
 */
export function dialRelay({ relay, tls }: Pick<ShareClientOptions, "relay" | "tls">, port?: number): Socket {
  const address = { host: relay.host, port: port ?? relay.port };
  if (tls === undefined) return connectTcp({ ...address, noDelay: true });
  const named = isIP(relay.host) === 0 ? { servername: relay.host } : {};
  const socket = connectTls({ ...named, ...tls, ...address });
  socket.setNoDelay(true);
  return socket;
}

/** What the system says of a connection that could not be made is of little use to a person. */
export function inWords(reason: string): string {
  if (reason.includes("ECONNREFUSED")) return "nothing listens there";
  if (reason.includes("ENOTFOUND") || reason.includes("EAI_AGAIN")) return "its name can't be resolved";
  if (/ENETUNREACH|EHOSTUNREACH/.test(reason)) return "there is no way there from this network";
  if (reason.includes("EPROTO")) return "what answers there does not speak TLS";
  if (/certificate|altnames/.test(reason)) return `its certificate is not accepted: ${reason}`;
  return reason;
}
