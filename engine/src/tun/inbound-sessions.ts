import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { TunConfig } from "../config/config.ts";
import { formatAddress, parseAddress } from "../router/address.ts";
import { holds, parseNetwork } from "../router/pattern.ts";

/** What of proc(5), /proc/net/tcp, the states of sockets are called. */
const ESTABLISHED = "01";
const LISTEN = "0A";
const LOOPBACK = ["127.0.0.0/8", "::1/128"].map(parseNetwork);
/** More than these need not be told, to say what is to be done. */
const MAX_TOLD = 4;

interface TcpSocket {
  readonly localPort: number;
  readonly remote: string;
  readonly state: string;
}

/**
 * The kill switch captures by destination alone, so it ends the connections that others have made to this machine from captured
 * networks, such as the SSH session in which it is switched on. This finds them beforehand, on Linux.
 * @param root where /proc is.
 * @returns a sentence for each, the first few.
 */
export function endangeredSessions(
  { cidrs, exclude, block_when_disconnected: killSwitch }: TunConfig,
  root = "/",
): string[] {
  if (!killSwitch) return [];
  const [captured, excluded] = [cidrs.map(parseNetwork), exclude.map(parseNetwork)];
  const sockets = [...readSockets(join(root, "proc/net/tcp")), ...readSockets(join(root, "proc/net/tcp6"))];
  const servers = new Set(sockets.filter(({ state }) => state === LISTEN).map(({ localPort }) => localPort));
  const sentences = sockets.flatMap(({ localPort, remote, state }) => {
    if (state !== ESTABLISHED || !servers.has(localPort)) return [];
    const address = parseAddress(remote);
    // What goes to loopback never meets a rule of ours.
    if (address === undefined || LOOPBACK.some((one) => holds(one, address))) return [];
    if (!captured.some((one) => holds(one, address)) || excluded.some((one) => holds(one, address)))
      return [];
    const from = formatAddress(address);
    return [
      `tun.block_when_disconnected ends the connection from ${from} to port ${localPort} of this machine, and lets no other ` +
        `in from there; to keep it, add ${from}/${address.length === 1 ? 32 : 128} to tun.exclude`,
    ];
  });
  return [...new Set(sentences)].slice(0, MAX_TOLD);
}

function readSockets(file: string): TcpSocket[] {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch {
    // A kernel without the family, or another system.
    return [];
  }
  return text
    .split("\n")
    .slice(1)
    .flatMap((line) => {
      const [, local, remote, state] = line.trim().split(/\s+/);
      if (local === undefined || remote === undefined || state === undefined) return [];
      const localPort = Number.parseInt(local.split(":")[1] ?? "", 16);
      return [{ localPort, remote: addressOf(remote.split(":")[0]!), state }];
    });
}

/** Words of 32 bits as hexadecimal numbers in the machine's byte order, which is little-endian. */
function addressOf(hex: string): string {
  const bytes = Buffer.from(hex, "hex");
  if (bytes.length % 4 !== 0) return "";
  bytes.swap32();
  return bytes.length === 4 ? bytes.join(".") : (bytes.toString("hex").match(/.{4}/g) ?? []).join(":");
}
