import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { relayOptions } from "@sockeye/relay/config/flags";
import { configKeys, type ConfigKey } from "@sockeye/relay/config/keys";
import { loadRelayConfig } from "@sockeye/relay/config/load";
import { startConfiguredRelay } from "@sockeye/relay/configured";
import type { RelayObserver } from "@sockeye/relay/observer";
import { observing } from "@sockeye/relay/observers";
import type { Relay } from "@sockeye/relay/server";

/** Keys as they stand in the reference, with their values as texts. */
export type Settings = Readonly<Record<string, string>>;

/** Where a key can be set. */
export const WAYS = ["flag", "variable", "file"] as const;
export type Way = (typeof WAYS)[number];

export interface KeyedRelay extends Relay, AsyncDisposable {
  /** What it told its observer, one line each. */
  readonly told: string[];
}

export function keyNamed(name: string): ConfigKey {
  const key = configKeys.find(({ path }) => path.join(".") === name);
  if (key === undefined) throw new Error(`there is no key ${name}`);
  return key;
}

let nextPorts = 15_000;

/**
 * What `showoff serve` would be given for `given`, by one of the three ways, with `base` in the file: its arguments, and its
 * environment. Listeners are on loopback, on ports of the system's choice, and everybody is let in, unless `base` says otherwise.
 */
export function commandFor(folder: string, way: Way, base: Settings, given: Settings) {
  const ports = `${nextPorts}-${nextPorts + 3}`;
  nextPorts += 4;
  const inFile: Record<string, string> = {
    domains: "localhost",
    "control.address": "127.0.0.1:0",
    "data.address": "127.0.0.1:0",
    "public_http.address": "127.0.0.1:0",
    "admin.address": "off",
    "tcp.host": "127.0.0.1",
    "tcp.ports": ports,
    "names.hold": "0",
    ...base,
  };
  const isOpen = [...Object.keys(base), ...Object.keys(given)].every(
    (name) => !name.startsWith("auth.") && name !== "insecure_no_auth",
  );
  if (isOpen) inFile["insecure_no_auth"] = "true";
  for (const name of Object.keys(given)) delete inFile[name];
  if (way === "file") Object.assign(inFile, given);
  const file = join(mkdtempSync(join(folder, "relay-")), "relay.yaml");
  writeFileSync(file, yamlOf(inFile));
  const args =
    way === "flag" ? Object.entries(given).flatMap(([name, text]) => argumentsFor(name, text)) : [];
  const env: Record<string, string> = {};
  if (way === "variable")
    for (const [name, text] of Object.entries(given)) env[keyNamed(name).variable] = text;
  if (way === "variable") env["SHOWOFF_CONFIG"] = file;
  else args.push("--config", file);
  return { args, env };
}

function argumentsFor(name: string, text: string): string[] {
  const { flag, isSwitch } = keyNamed(name);
  return isSwitch && text === "true" ? [flag] : [flag, text];
}

/** JSON is YAML; numbers and truth are what people would write them as. */
function yamlOf(settings: Settings): string {
  const tree: Record<string, unknown> = {};
  for (const [name, text] of Object.entries(settings)) {
    const path = name.split(".");
    let at = tree;
    for (const part of path.slice(0, -1)) at = (at[part] ??= {}) as Record<string, unknown>;
    at[path.at(-1)!] = /^(\d+|true|false)$/.test(text) ? JSON.parse(text) : text;
  }
  return JSON.stringify(tree);
}

/** A relay in this process, with `given` set by one of the three ways, as the program itself would read it. */
export async function startKeyedRelay(way: Way, base: Settings, given: Settings): Promise<KeyedRelay> {
  const folder = mkdtempSync(join(tmpdir(), "relay-keys-"));
  const { args, env } = commandFor(folder, way, base, given);
  const command = new Command().exitOverride();
  for (const option of relayOptions()) command.addOption(option);
  const flags: Record<string, unknown> = command.parse(args, { from: "user" }).opts();
  const result = await loadRelayConfig({ flags, env, directory: folder });
  if (!("config" in result)) throw new Error(JSON.stringify(result.errors));
  const told: string[] = [];
  const relay = await startConfiguredRelay(result.config, observerTo(told));
  return Object.assign(relay, {
    told,
    [Symbol.asyncDispose]: async () => {
      await relay.stop(0);
      rmSync(folder, { recursive: true, force: true });
    },
  });
}

function observerTo(told: string[]): RelayObserver {
  return observing({
    clientConnected: (_client, identity) => told.push(`client ${identity}`),
    clientDisconnected: (_client, reason) => told.push(`gone: ${reason}`),
    connectionRefused: (listener, _source, why) =>
      told.push(`refused ${listener}: ${Object.values(why).join()}`),
    clientRefused: (_source, { code }) => told.push(`client refused: ${code}`),
    requestEnded: ({ error, source }) => told.push(`ended ${source} ${error ?? "well"}`),
    problem: (what, error) => told.push(`problem ${what}: ${error.message}`),
  });
}
