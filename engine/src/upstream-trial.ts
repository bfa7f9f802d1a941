import type { Config } from "./config/config.ts";
import { accepted, type ConfigSource } from "./config/running.ts";
import { unknownUpstream } from "./control/describe.ts";
import type { ControlHost } from "./control/host.ts";
import { withKeptSecrets } from "./control/kept-secrets.ts";
import type { UpstreamSet } from "./upstream/set.ts";
import type { TestOptions, UpstreamTestResult } from "./upstream/upstream.ts";

/** What a running engine has that a trial goes by. */
export interface Surroundings {
  readonly upstreams: UpstreamSet;
  readonly config: Config;
  readonly source: ConfigSource;
}

/**
 * Tests an upstream of a running engine, or one that is not saved, over those that are.
 * @throws {ControlError} unknown-upstream; invalid-config with the problems of the one that is not saved.
 */
export async function tryUpstream(
  { upstreams, config, source }: Surroundings,
  which: Parameters<ControlHost["testUpstream"]>[0],
  options: TestOptions,
): Promise<UpstreamTestResult> {
  if (!which.config) {
    const upstream = upstreams.get(which.name);
    if (!upstream) throw unknownUpstream(which.name, config);
    return upstream.test(options);
  }
  const unsaved = checkUnsaved(source, config, which.name, which.config);
  const upstreamConfig = withKeptSecrets(unsaved.upstreams[which.name]!, config.upstreams[which.name]);
  const via = upstreams.get(upstreamConfig.via ?? "direct") ?? upstreams.direct;
  const upstream = upstreams.create(which.name, upstreamConfig, via);
  try {
    return await upstream.test(options);
  } finally {
    await upstream.close(0);
  }
}

/** JSON is YAML, so that an upstream that is not saved goes through the very checks of the file. */
function checkUnsaved(
  source: ConfigSource,
  config: Config,
  name: string,
  unsaved: Readonly<Record<string, unknown>>,
): Config {
  const others = Object.fromEntries(
    Object.keys(config.upstreams)
      .filter((other) => other !== name)
      .map((other) => [other, { type: "socks5", address: "placeholder.invalid" }]),
  );
  return accepted(source.check(JSON.stringify({ upstreams: { ...others, [name]: unsaved } }))).config;
}
