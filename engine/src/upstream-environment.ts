import { homedir } from "node:os";
import type { Limits } from "./config/config.ts";
import { defaultPaths } from "./config/paths.ts";
import { readSecret } from "./config/secrets.ts";
import type { EngineOptions } from "./control/host.ts";
import type { Logger } from "./observe/log.ts";
import type { UpstreamEnvironment } from "./upstream/set.ts";
import type { UpstreamEvents } from "./upstream/upstream.ts";

/** What every upstream of this machine's user is given. */
export function upstreamEnvironment(
  limits: Limits,
  events: UpstreamEvents,
  log: Logger,
  options: EngineOptions,
): UpstreamEnvironment {
  const paths = defaultPaths({ env: process.env, home: homedir(), platform: process.platform });
  return {
    limits,
    events,
    log,
    prompter: options.prompter,
    trustStorePath: paths.knownHosts,
    readSecret: (secret) =>
      readSecret(secret, { onWarning: (message) => log.warn(message), store: options.secretStore }),
  };
}
