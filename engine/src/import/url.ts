import { isIP } from "node:net";
import { formatEndpoint } from "../endpoint.ts";
import { excerpt, type Found, ImportError, literal } from "./found.ts";
import { readLink } from "./link.ts";

/** `socks5h` says that the proxy resolves names, as every upstream of ours does. */
const KINDS: Readonly<Record<string, { readonly type: string; readonly port: number; readonly tls?: true }>> =
  {
    "ssh:": { type: "ssh", port: 22 },
    "socks5:": { type: "socks5", port: 1080 },
    "socks5h:": { type: "socks5", port: 1080 },
    "socks:": { type: "socks5", port: 1080 },
    "http:": { type: "http", port: 80 },
    "https:": { type: "http", port: 443, tls: true },
  };

/**
 * Reads `ssh://`, `socks5://`, `socks5h://`, `http://`, `https://` (a proxy spoken to by TLS) or a link of ours.
 * @throws {ImportError} with why it is none of them.
 */
export function readUrl(line: string): Found {
  // What can't be parsed may hold a password all the same.
  const shown = excerpt(withoutUserInfo(line));
  if (!URL.canParse(line)) throw new ImportError("it is not a URL");
  const url = new URL(line);
  if (url.protocol === "sockeye:") return readLink(url);
  const kind = KINDS[url.protocol];
  if (kind === undefined) throw new ImportError(`${url.protocol}// leads to nothing that Sockeye can use`);
  const host = decode(url.hostname).replace(/^\[(.*)\]$/, "$1");
  if (host === "") throw new ImportError("it names no host");
  const username = decode(url.username);
  const password = decode(url.password);
  const port = url.port === "" ? kind.port : Number(url.port);
  const extra =
    /^\/?$/.test(url.pathname) && url.search === "" && url.hash === ""
      ? []
      : ["what follows the host was left out"];
  const common = { type: kind.type, address: literal(formatEndpoint({ host, port })) };
  return {
    id: line,
    name: nameOfHost(host),
    from: shown,
    ...(kind.type === "ssh"
      ? {
          upstream: {
            ...common,
            ...(username !== "" && { user: literal(username) }),
            ...(password !== "" && { password: literal(password) }),
          },
          warnings: extra,
        }
      : {
          upstream: {
            ...common,
            ...(kind.tls && { tls: true }),
            ...(username !== "" &&
              password !== "" && { auth: { username: literal(username), password: literal(password) } }),
          },
          warnings: [...extra, ...halfCredentials(username, password)],
        }),
  };
}

function halfCredentials(username: string, password: string): string[] {
  if ((username === "") === (password === "")) return [];
  return username === ""
    ? ["it has a password without a username, which was left out"]
    : ["it has a username without a password, which was left out; a proxy that wants one wants both"];
}

/** The URL for showing. The last `@` before the path ends what must not be shown. */
function withoutUserInfo(text: string): string {
  return text.replace(/^([a-z][a-z\d+.-]*:\/\/)([^/?#]*)@/i, (_all, scheme: string, info: string) => {
    const user = info.split(":", 1)[0]!;
    return `${scheme}${user}${user === "" ? "" : "@"}`;
  });
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new ImportError("a % in it is followed by no hexadecimal number; write %25 for the sign itself");
  }
}

/** `bastion` for bastion.example.com; an address as it is. */
export function nameOfHost(host: string): string {
  return isIP(host) !== 0 ? host : host.split(".", 1)[0]!;
}
