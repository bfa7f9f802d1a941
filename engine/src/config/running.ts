import { homedir } from "node:os";
import type { EngineOptions } from "../control/host.ts";
import type { Config } from "./config.ts";
import { type ParseResult, parseConfig, readConfigText } from "./load.ts";

/**
 * Where a running engine's configuration comes from: a file, or a text given in its place, with the command's flags on
 * top, at each reload too.
 */
export class ConfigSource {
  readonly file: string | undefined;
  readonly #text: string;
  readonly #overrides: NonNullable<EngineOptions["overrides"]>;

  constructor(options: EngineOptions) {
    this.file = options.configFile;
    this.#text = options.configText ?? "";
    this.#overrides = options.overrides ?? {};
  }

  /** @throws the system's error when the file can't be read. */
  async read(): Promise<ParseResult> {
    return this.check(this.file === undefined ? this.#text : await readConfigText(this.file));
  }

  /** A text as if it were the file. */
  check(text: string): ParseResult {
    const fileName = this.file === undefined ? {} : { fileName: this.file };
    const parsed = parseConfig(text, { env: process.env, home: homedir(), ...fileName });
    return "config" in parsed ? { ...parsed, config: this.#override(parsed.config) } : parsed;
  }

  #override(config: Config): Config {
    const { socks5, http, metrics, logLevel, logFormat } = this.#overrides;
    return {
      ...config,
      listen: {
        ...config.listen,
        ...(socks5 !== undefined && { socks5: { ...config.listen.socks5, address: socks5 } }),
        ...(http !== undefined && { http: { ...config.listen.http, address: http } }),
        ...(metrics !== undefined && { metrics: { address: metrics } }),
      },
      log: { level: logLevel ?? config.log.level, format: logFormat ?? config.log.format },
    };
  }
}
