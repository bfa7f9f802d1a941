import { diffConfig } from "./config/diff.ts";
import { accepted, ConfigSource, emptyLike } from "./config/running.ts";
import { unknownUpstream } from "./control/describe.ts";
import type { EngineOptions } from "./control/host.ts";
import { createLogger } from "./observe/log.ts";
import { UpstreamSet } from "./upstream/set.ts";
import type { TestOptions, UpstreamEvents, UpstreamTestResult } from "./upstream/upstream.ts";
import { upstreamEnvironment } from "./upstream-environment.ts";

/**
 * Tests one upstream of a configuration without starting listeners, and closes all that it opened.
 * @throws {ControlError} `invalid-config` with the problems, `unknown-upstream`, `unavailable` when the file can't be read.
 */
export async function testUpstream(
  options: EngineOptions,
  name: string,
  test: TestOptions,
): Promise<UpstreamTestResult> {
  const { config } = accepted(await new ConfigSource(options).read());
  const log = createLogger({ level: options.overrides?.logLevel ?? "silent", format: "auto" });
  const events: UpstreamEvents = { onStateChange: () => {}, onReconnect: () => {} };
  const upstreams = new UpstreamSet(upstreamEnvironment(config.limits, events, log, options));
  try {
    upstreams.apply(config, diffConfig(emptyLike(config), config), 0);
    const upstream = upstreams.get(name);
    if (!upstream) throw unknownUpstream(name, config);
    return await upstream.test(test);
  } finally {
    await upstreams.close();
  }
}
