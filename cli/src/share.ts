import { readFile, stat } from "node:fs/promises";
import { InvalidArgumentError, Option } from "commander";
import { type Endpoint, formatEndpoint, parseEndpoint } from "@sockeye/config-kit/endpoint";
import { ShareClient } from "@sockeye/engine/share/client";
import type { ShareClientOptions, ShareSpec } from "@sockeye/engine/share/share";
import {
  type BasicAuthHash,
  hashBasicAuth,
  isNetwork,
  MAX_ALLOWED_NETWORKS,
  MAX_OFFLINE_PAGE_BYTES,
} from "@sockeye/link/guard";
import { faultOfName } from "@sockeye/link/public-name";
import { CommandFailure, ExitCode } from "./exit-codes.ts";
import { jsonOption } from "./options.ts";
import { complain } from "./output.ts";
import { RequestPrinter } from "./request-printer.ts";
import { jsonFace, peopleFace } from "./share-face.ts";
import type { Register } from "./context.ts";

interface ShareFlags {
  readonly relay: Endpoint;
  readonly name?: string;
  readonly port?: number;
  readonly tokenFile?: string;
  readonly hostHeader?: string;
  readonly tls: boolean;
  readonly ca?: string;
  readonly links: number;
  readonly basicAuthFile?: string;
  readonly allow?: string[];
  readonly offlinePage?: string;
  readonly inspect?: boolean;
  readonly oneConnectionPerTunnel?: boolean;
  readonly connectTimeout?: number;
  readonly json?: boolean;
}

const RELAY_PORT = 7000;

/** `sockeye share` */
export const registerShare: Register = (program) => {
  program
    .command("share")
    .description("publish a local service through a Showoff relay, until it is told to stop")
    .argument("<what...>", "3000 or HOST:PORT for HTTP; tcp 5432 or tcp HOST:PORT for a raw port")
    .addOption(
      new Option("--relay <address>", `the relay, as HOST or HOST:PORT (${RELAY_PORT})`)
        .env("SOCKEYE_RELAY")
        .argParser(parseRelay)
        .makeOptionMandatory(),
    )
    .addOption(
      new Option("--token-file <file>", "file that holds the token for the relay").env("SOCKEYE_TOKEN_FILE"),
    )
    .addOption(
      new Option("--name <name>", "the public name; without it the relay chooses one").env(
        "SOCKEYE_SHARE_NAME",
      ),
    )
    .addOption(
      new Option("--port <port>", "tcp: the public port; without it the relay chooses one")
        .env("SOCKEYE_SHARE_PORT")
        .argParser((text) => parseWhole(text, 1, 65_535)),
    )
    .addOption(
      new Option(
        "--host-header <host>",
        "what the local service sees as Host, instead of the public name",
      ).env("SOCKEYE_HOST_HEADER"),
    )
    .addOption(
      new Option("--no-tls", "speak to the relay in clear; so it is on loopback without saying").env(
        "SOCKEYE_NO_TLS",
      ),
    )
    .addOption(
      new Option("--ca <file>", "PEM file of the authority of the relay's certificate").env("SOCKEYE_CA"),
    )
    .addOption(
      new Option("--links <count>", "connections to the relay side by side")
        .env("SOCKEYE_LINKS")
        .default(1)
        .argParser((text) => parseWhole(text, 1, 8)),
    )
    .addOption(
      new Option(
        "--basic-auth-file <file>",
        "file whose first line is USERNAME:PASSWORD, which the relay asks of whoever comes",
      ).env("SOCKEYE_BASIC_AUTH_FILE"),
    )
    .addOption(
      new Option("--allow <network>", "let in only from this network or address; may be given several times")
        .env("SOCKEYE_ALLOW")
        .argParser(collectNetworks),
    )
    .addOption(
      new Option("--offline-page <file>", "HTML that the relay shows while nobody is there to answer").env(
        "SOCKEYE_OFFLINE_PAGE",
      ),
    )
    .addOption(
      new Option("--inspect", "print what each request and its answer say, credentials hidden").env(
        "SOCKEYE_INSPECT",
      ),
    )
    .addOption(
      new Option(
        "--one-connection-per-tunnel",
        "carry each request and connection on one of its own, where the relay has a data listener",
      ).env("SOCKEYE_ONE_CONNECTION_PER_TUNNEL"),
    )
    .addOption(
      new Option(
        "--connect-timeout <seconds>",
        "give up where nothing is shared after so long; without it the relay is tried for ever",
      )
        .env("SOCKEYE_CONNECT_TIMEOUT")
        .argParser((text) => parseWhole(text, 1, 86_400)),
    )
    .addOption(jsonOption())
    .action((what: string[], flags: ShareFlags) => share(what, flags));
};

async function share(what: readonly string[], flags: ShareFlags): Promise<void> {
  const spec = { ...specOf(what, flags), ...(await edgeOf(what, flags)) };
  const options = await clientOptions(flags);
  const relay = formatEndpoint(flags.relay);
  const face = flags.json === true ? jsonFace() : peopleFace(relay);
  const inspector = flags.inspect === true ? new RequestPrinter(flags.json === true) : undefined;
  await new Promise<void>((resolve, reject) => {
    /** Why nothing is shared, as it was heard last. */
    let reason = "it did not answer";
    const late =
      flags.connectTimeout === undefined
        ? undefined
        : setTimeout(() => {
            const failure = `nothing is shared through ${relay} after ${flags.connectTimeout} s: ${reason}`;
            end(new CommandFailure(ExitCode.notShared, failure));
          }, flags.connectTimeout * 1000);
    const end = (failure?: CommandFailure) => {
      clearTimeout(late);
      client.close();
      if (failure === undefined) resolve();
      else reject(failure);
    };
    const client = new ShareClient({
      ...options,
      ...(inspector && spec.kind === "http" && { tap: () => inspector.tap() }),
      observer: {
        ...face,
        shared: (share) => {
          clearTimeout(late);
          face.shared?.(share);
        },
        disconnected: (why, retryMs, code) => {
          reason = why;
          face.disconnected?.(why, retryMs, code);
        },
        refused: (code, message) =>
          end(new CommandFailure(ExitCode.failed, `the relay refuses: ${message} (${code})`)),
        unshared: (share, code, message) => {
          reason = message;
          const isFinal = FOR_GOOD.has(code);
          if (!isFinal || flags.json === true) face.unshared?.(share, code, message);
          if (isFinal)
            end(new CommandFailure(ExitCode.failed, `the relay does not share this: ${message} (${code})`));
        },
      },
    });
    client.add(spec);
    client.start();
    process.once("SIGINT", () => end());
    process.once("SIGTERM", () => end());
  });
}

/** What the relay keeps for us at its edge. */
async function edgeOf(
  what: readonly string[],
  { basicAuthFile, allow, offlinePage }: ShareFlags,
): Promise<Pick<ShareSpec, "guard" | "offlinePage">> {
  if (what[0] === "tcp" && (basicAuthFile !== undefined || offlinePage !== undefined))
    throw new CommandFailure(
      ExitCode.usage,
      "--basic-auth-file and --offline-page are for HTTP; a TCP share has --allow",
    );
  const guard = {
    ...(basicAuthFile !== undefined && { basicAuth: await basicAuthOf(basicAuthFile) }),
    ...(allow !== undefined && { allow }),
  };
  return {
    ...(Object.keys(guard).length > 0 && { guard }),
    ...(offlinePage !== undefined && { offlinePage: await pageOf(offlinePage) }),
  };
}

async function basicAuthOf(file: string): Promise<BasicAuthHash> {
  const [line = ""] = (await read(file)).split(/\r?\n/, 1);
  const colon = line.indexOf(":");
  if (colon > 0 && colon < line.length - 1) return hashBasicAuth(line.slice(0, colon), line.slice(colon + 1));
  throw new CommandFailure(ExitCode.config, `the first line of ${file} must be USERNAME:PASSWORD`);
}

async function pageOf(file: string): Promise<Buffer> {
  const page = Buffer.from(await read(file));
  if (page.length <= MAX_OFFLINE_PAGE_BYTES) return page;
  throw new CommandFailure(
    ExitCode.config,
    `${file} has ${page.length} bytes; an offline page has at most ${MAX_OFFLINE_PAGE_BYTES}`,
  );
}

/** One network, or several with commas between: a variable can't be given several times. */
function collectNetworks(text: string, before: string[] | undefined): string[] {
  const networks = text.split(",").map((network) => network.trim());
  const wrong = networks.find((network) => !isNetwork(network));
  if (wrong !== undefined)
    throw new InvalidArgumentError(`"${wrong}" is not a network, such as 192.0.2.0/24`);
  const all = [...(before ?? []), ...networks];
  if (all.length > MAX_ALLOWED_NETWORKS)
    throw new InvalidArgumentError(`there may be ${MAX_ALLOWED_NETWORKS} networks`);
  return all;
}

/** Refusals of a share that another try would get again. */
const FOR_GOOD: ReadonlySet<string> = new Set([
  "name-invalid",
  "name-taken",
  "not-allowed",
  "none-free",
  "limit",
  "unsupported",
]);

async function clientOptions(flags: ShareFlags): Promise<ShareClientOptions> {
  const { relay, tokenFile, ca, links } = flags;
  const plain = !flags.tls || (ca === undefined && isLoopback(relay.host));
  return {
    relay,
    links,
    apart: flags.oneConnectionPerTunnel,
    watch: true,
    token: tokenFile === undefined ? undefined : await tokenOf(tokenFile),
    tls: plain ? undefined : ca === undefined ? {} : { ca: await read(ca) },
  };
}

async function tokenOf(file: string): Promise<string> {
  const token = (await read(file)).trim();
  if (token === "")
    throw new CommandFailure(ExitCode.config, `${file} is empty; it should hold the relay's token`);
  if (process.platform !== "win32" && ((await stat(file)).mode & 0o077) !== 0)
    complain(`others can read the token in ${file}; run chmod 600 on it`);
  return token;
}

async function read(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const why = code === "ENOENT" ? "it does not exist" : message;
    throw new CommandFailure(ExitCode.config, `${file} can't be read: ${why}`, error);
  }
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || host.startsWith("127.");
}

function specOf(what: readonly string[], flags: ShareFlags): ShareSpec {
  const [first = "", second] = what;
  const named = first === "tcp" || first === "http";
  const target = named ? second : first;
  if (target === undefined || what.length > (named ? 2 : 1))
    throw new CommandFailure(
      ExitCode.usage,
      "write what to share as 3000, HOST:PORT, tcp 5432 or tcp HOST:PORT",
    );
  const kind = first === "tcp" ? "tcp" : "http";
  if (kind === "tcp" && flags.name !== undefined)
    throw new CommandFailure(ExitCode.usage, "a TCP share has a port and no name; write --port");
  if (kind === "http" && flags.port !== undefined)
    throw new CommandFailure(ExitCode.usage, "an HTTP share has a name and no port; write --name");
  const fault = flags.name === undefined ? undefined : faultOfName(flags.name);
  if (fault !== undefined) throw new CommandFailure(ExitCode.usage, `--name: "${flags.name}": ${fault}`);
  return { kind, target: localTarget(target), name: flags.name, port: flags.port, host: flags.hostHeader };
}

/** @throws {CommandFailure} */
function localTarget(text: string): Endpoint {
  if (text.includes("://"))
    throw new CommandFailure(
      ExitCode.usage,
      `"${text}" is a URL; write the local service as 3000 or HOST:PORT, without http://`,
    );
  try {
    const target = /^\d+$/.test(text)
      ? { host: "localhost", port: parseWhole(text, 1, 65_535) }
      : parseEndpoint(text);
    if (target.port > 0) return target;
  } catch (error) {
    throw new CommandFailure(
      ExitCode.usage,
      `"${text}" is no local service: ${(error as Error).message}`,
      error,
    );
  }
  throw new CommandFailure(ExitCode.usage, `"${text}": port 0 is nowhere to connect to`);
}

function parseRelay(text: string): Endpoint {
  try {
    return parseEndpoint(text, RELAY_PORT);
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}

function parseWhole(text: string, low: number, high: number): number {
  const number = /^\d+$/.test(text) ? Number(text) : NaN;
  if (number >= low && number <= high) return number;
  throw new InvalidArgumentError(`"${text}" is not a whole number from ${low} to ${high}`);
}
