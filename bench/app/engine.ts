import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { interfaceAddress } from "@sockeye/engine/control/browser-page";
import { connectControl, type ControlClient, findEngine } from "@sockeye/engine/control/client";
import { freePort } from "../../test/peers/peer-process.ts";
import { type Child, startChild } from "../child.ts";
import { COMMAND, withHome } from "../peers/peers.ts";

/** `sockeye run` with its interface. */
export interface ServedEngine extends AsyncDisposable {
  readonly child: Child;
  readonly socksPort: number;
  /** With the key. */
  readonly address: string;
  control(): Promise<ControlClient>;
}

export async function startServedEngine(): Promise<ServedEngine> {
  const socksPort = await freePort();
  const home = mkdtempSync(join(tmpdir(), "sockeye-bench-"));
  const file = join(home, "sockeye.yaml");
  const config = {
    listen: { socks5: `127.0.0.1:${socksPort}` },
    upstreams: { office: { type: "socks5", address: "127.0.0.1:9" } },
    limits: { max_connections: 50_000, idle_timeout: 0 },
    log: { level: "error", format: "json" },
  };
  // JSON is YAML.
  writeFileSync(file, JSON.stringify(config));
  const child = await startChild({
    command: process.execPath,
    args: [COMMAND, "run", "--ui=print", "--config", file],
    env: { ...withHome(home), SOCKEYE_RUNTIME_DIR: home },
    isReady: () => knownIn(home),
    onEnd: () => rmSync(home, { recursive: true, force: true }),
  });
  const entry = findEngine({ directory: home });
  return {
    child,
    socksPort,
    address: interfaceAddress(entry),
    control: () => connectControl(entry),
    [Symbol.asyncDispose]: child.stop,
  };
}

function knownIn(directory: string): boolean {
  try {
    return findEngine({ directory }).ui !== undefined;
  } catch {
    return false;
  }
}
