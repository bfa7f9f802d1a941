import type { Config, Secret } from "./config/config.ts";
import { accepted, type ConfigSource } from "./config/running.ts";
import { ControlError } from "./control/control-error.ts";
import type { ControlHost } from "./control/host.ts";
import { withKeptToken } from "./control/kept-secrets.ts";
import { testRelay } from "./share/test-relay.ts";
import type { TestOptions, UpstreamTestResult } from "./upstream/upstream.ts";

/** What a running engine has that a trial goes by. */
export interface RelaySurroundings {
  readonly config: Config;
  readonly source: ConfigSource;
  readonly readSecret: (secret: Secret) => Promise<string>;
}

/**
 * Tests a relay of a running engine, or one that is not saved.
 * @throws {ControlError} bad-request where there is none of this name; invalid-config with the problems of the one that is not saved.
 */
export async function tryRelay(
  { config, source, readSecret }: RelaySurroundings,
  which: Parameters<ControlHost["testRelay"]>[0],
  options: TestOptions,
): Promise<UpstreamTestResult> {
  const saved = config.relays[which.name];
  const relay = which.config ? checkUnsaved(source, which.name, which.config) : saved;
  if (relay === undefined) throw new ControlError("bad-request", `there is no relay "${which.name}"`);
  return testRelay(withKeptToken(relay, saved), readSecret, options);
}

/** JSON is YAML, so that a relay that is not saved goes through the very checks of the file. */
function checkUnsaved(source: ConfigSource, name: string, unsaved: Readonly<Record<string, unknown>>) {
  return accepted(source.check(JSON.stringify({ relays: { [name]: unsaved } }))).config.relays[name];
}
