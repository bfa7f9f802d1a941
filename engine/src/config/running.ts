import { homedir } from "node:os";
import { ControlError } from "../control/control-error.ts";
import type { EngineOptions } from "../control/host.ts";
import { parseConfigAside } from "./aside.ts";
import type { Config } from "./config.ts";
import { defaultTun } from "./defaults.ts";
import { warnOfFiles } from "./files.ts";
import { type ParseOptions, type ParseResult, parseConfig } from "./load.ts";
import { readConfigText } from "@sockeye/config-kit/read-text";

/**
 * Where a running engine's configuration comes from: a file, or a text given in its place, with the command's flags on
 * top, at each reload too.
 */
export class ConfigSource {
  readonly file: string | undefined;
  readonly #text: string;
  readonly #overrides: NonNullable<EngineOptions["overrides"]>;
  #lastRead: string | undefined;

  constructor(options: EngineOptions) {
    this.file = options.configFile;
    this.#text = options.configText ?? "";
    this.#overrides = options.overrides ?? {};
  }

  /** The text that read() read last; undefined before. A watch that begins later compares with it. */
  get lastRead(): string | undefined {
    return this.#lastRead;
  }

  /** @throws {ControlError} `no-config-file` with a sentence when the file can't be read. */
  async read(): Promise<ParseResult> {
    let text = this.#text;
    try {
      if (this.file !== undefined) text = await readConfigText(this.file);
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      const why = code === "ENOENT" ? "it does not exist" : code === "EACCES" ? "permission denied" : message;
      throw new ControlError("no-config-file", `can't read ${this.file}: ${why}`, { cause: error });
    }
    this.#lastRead = text;
    // A long file is read in a thread of its own, so that a reload does not hold up the traffic.
    return this.#override(await warnOfFiles(await parseConfigAside(text, this.#options())));
  }

  /** A text as if it were the file. */
  check(text: string): ParseResult {
    return this.#override(parseConfig(text, this.#options()));
  }

  #options(): ParseOptions {
    const { socks5, http, metrics } = this.#overrides;
    const shared = { env: process.env, home: homedir(), listen: { socks5, http, metrics } };
    return this.file === undefined ? shared : { ...shared, fileName: this.file };
  }

  #override(parsed: ParseResult): ParseResult {
    if ("errors" in parsed) return parsed;
    const { socks5, http, metrics, logLevel, logFormat } = this.#overrides;
    const { config } = parsed;
    const overridden: Config = {
      ...config,
      listen: {
        ...config.listen,
        ...(socks5 !== undefined && { socks5: { ...config.listen.socks5, address: socks5 } }),
        ...(http !== undefined && { http: { ...config.listen.http, address: http } }),
        ...(metrics !== undefined && { metrics: { address: metrics } }),
      },
      log: { level: logLevel ?? config.log.level, format: logFormat ?? config.log.format },
    };
    return { ...parsed, config: overridden };
  }
}

/**
 * The configuration, where the text had no errors.
 * @throws {ControlError} `invalid-config` with every problem.
 */
export function accepted(parsed: ParseResult): Extract<ParseResult, { config: Config }> {
  if ("config" in parsed) return parsed;
  const { length } = parsed.errors;
  const sentence = length === 1 ? "the configuration has an error" : `the configuration has ${length} errors`;
  throw new ControlError("invalid-config", sentence, { problems: [...parsed.errors] });
}

/** A configuration without listeners or upstreams, so that the first one is a difference like any other. */
export function emptyLike(config: Config): Config {
  return {
    ...config,
    listen: { control: config.listen.control },
    upstreams: {},
    tun: defaultTun,
    relays: {},
    shares: {},
  };
}
