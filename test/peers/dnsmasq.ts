import { type ChildProcess, spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { findProgram, freePort, makePeerFolder, startPeerProcess } from "./peer-process.ts";

export interface Dnsmasq {
  readonly host: string;
  readonly port: number;
  stop(): Promise<void>;
}

/**
 * A real DNS server (dnsmasq) on a port of loopback, UDP and TCP.
 * @param records lines of its configuration, such as `host-record=a.example,10.0.0.1`.
 */
export async function startDnsmasq(records: readonly string[]): Promise<Dnsmasq> {
  const port = await freePort();
  const folder = makePeerFolder("dnsmasq");
  const configFile = join(folder, "dnsmasq.conf");
  const settings = [
    `port=${port}`,
    "listen-address=127.0.0.1",
    "bind-interfaces",
    "no-resolv",
    "no-hosts",
    "no-daemon",
    "pid-file=",
    "user=",
    "group=",
    ...records,
  ];
  writeFileSync(configFile, `${settings.join("\n")}\n`);
  const args = [`--conf-file=${configFile}`];
  const peer = await startPeerProcess({ program: "dnsmasq", args, port, folder });
  return { host: "127.0.0.1", port, stop: () => peer.stop() };
}

/** A real DNS server on port 53 of an address of a network namespace, where this process is root. */
export function startDnsmasqIn(namespace: string, address: string, records: readonly string[]): ChildProcess {
  const settings = ["port=53", `listen-address=${address}`, "bind-interfaces", "no-resolv", "no-hosts"];
  const options = [...settings, "keep-in-foreground", "user=", "group=", ...records].map(
    (line) => `--${line}`,
  );
  const program = findProgram("dnsmasq") ?? "dnsmasq";
  const args = ["netns", "exec", namespace, program, "--conf-file=/dev/null", "--pid-file=", ...options];
  return spawn("ip", args, { stdio: "ignore" });
}
