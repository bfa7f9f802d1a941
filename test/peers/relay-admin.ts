import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LinkConnection } from "@sockeye/link/link-connection";
import { encodeMessage, LINK_VERSION, readRelayMessage, type RelayMessage } from "@sockeye/link/messages";
import { relayOptions } from "@sockeye/relay/config/flags";
import { configKeys } from "@sockeye/relay/config/keys";
import { loadRelayConfig } from "@sockeye/relay/config/load";
import type { RelayConfig } from "@sockeye/relay/config/schema";
import { WindowBudget } from "@sockeye/wire/mux";
import type { StreamReceiver, TunnelStream } from "@sockeye/wire/mux-stream";

/** The three ways in which a key can be set. */
export const WAYS = ["flag", "variable", "file"] as const;
export type Way = (typeof WAYS)[number];

/** Files of tests run side by side, each in a process of its own. */
const FIRST_PORT = 20_000 + (process.pid % 100) * 100;

/**
 * A relay's configuration on loopback, read as `showoff serve` reads it.
 * @param settings texts by key (`admin.address`), all of them set in this one way. @throws {Error} where they are wrong.
 */
export async function configuredBy(
  way: Way,
  settings: Readonly<Record<string, string>>,
): Promise<RelayConfig> {
  const usual = {
    domains: "localhost",
    "control.address": "127.0.0.1:0",
    "data.address": "127.0.0.1:0",
    "public_http.address": "127.0.0.1:0",
    "admin.address": "127.0.0.1:0",
    "tcp.host": "127.0.0.1",
    "tcp.ports": `${FIRST_PORT}-${FIRST_PORT + 99}`,
    insecure_no_auth: "true",
  };
  const flags: Record<string, string> = {};
  const env: Record<string, string> = {};
  const folder = await mkdtemp(join(tmpdir(), "showoff-keys-"));
  try {
    const tree: Record<string, unknown> = {};
    const all = Object.entries({ ...usual, ...settings });
    for (const [name, value] of all) {
      const key = configKeys.find(({ path }) => path.join(".") === name);
      if (key === undefined) throw new Error(`there is no key ${name}`);
      if (way === "flag") flags[attributeOf(key.flag)] = value;
      else if (way === "variable") env[key.variable] = value;
      else put(tree, key.path, value);
    }
    if (way === "file") {
      const file = join(folder, "relay.yaml");
      // JSON is YAML, too.
      await writeFile(file, JSON.stringify(tree));
      flags["config"] = file;
    }
    const result = await loadRelayConfig({ flags, env, directory: folder });
    if ("config" in result) return result.config;
    throw new Error(result.errors.map(({ place, message }) => `${place}: ${message}`).join("; "));
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Under which name commander gives a flag. */
function attributeOf(flag: string): string {
  return relayOptions()
    .find(({ long }) => long === flag)!
    .attributeName();
}

function put(tree: Record<string, unknown>, [first, ...rest]: readonly string[], value: string): void {
  if (rest.length === 0) tree[first!] = /^(true|\d+)$/.test(value) ? (JSON.parse(value) as unknown) : value;
  else put((tree[first!] ??= {}) as Record<string, unknown>, rest, value);
}

export interface RawClient extends Disposable {
  /** Where its share is public. */
  readonly addresses: readonly string[];
  /** What the relay opened so far. Nothing is done with them. */
  readonly streams: readonly TunnelStream[];
}

/** A client with one share that takes up nothing by itself. */
export async function startRawClient(
  port: number,
  share: { readonly kind: "http"; readonly name: string } | { readonly kind: "tcp" },
): Promise<RawClient> {
  const socket = connect({ port, host: "127.0.0.1" });
  await once(socket, "connect");
  const streams: TunnelStream[] = [];
  const messages: RelayMessage[] = [];
  let wake = () => {};
  const silent: StreamReceiver = { data: () => {}, end: () => {}, reset: () => {}, drain: () => {} };
  const link = new LinkConnection(socket, {
    role: "client",
    budget: new WindowBudget(0),
    handler: {
      opened: (stream) => {
        streams.push(stream);
        return silent;
      },
      control: (bytes) => {
        const message = readRelayMessage(bytes);
        messages.push(message);
        if (message.type === "welcome")
          link.sendControl(encodeMessage({ type: "share", share: 1, ...share }));
        wake();
      },
      closed: () => wake(),
    },
  });
  link.sendControl(
    encodeMessage({ type: "hello", version: LINK_VERSION, instance: randomBytes(16).toString("hex") }),
  );
  for (;;) {
    const last = messages.at(-1);
    if (last?.type === "shared")
      return { addresses: last.addresses, streams, [Symbol.dispose]: () => link.close() };
    if (socket.destroyed || last?.type === "unshared" || last?.type === "refused")
      throw new Error(`not shared: ${JSON.stringify(messages)}`);
    await new Promise<void>((resolve) => (wake = resolve));
  }
}
