import { type Found, ImportError, literal } from "./found.ts";

/**
 * `sockeye://import?type=ssh&name=bastion&address=bastion.example.com&user=deploy&via=corp-proxy`: one upstream, each
 * key of the file that a stranger may set as a parameter. A link can be put anywhere, so it holds no secret, names no file, runs no program
 * and weakens no check: whatever else stands in it is left out and said to be.
 */
const KEYS: Readonly<Record<string, readonly string[]>> = {
  ssh: ["address", "user", "pool_size", "strategy", "keepalive_interval", "keepalive_count_max"],
  socks5: ["address", "udp", "pool_size", "strategy"],
  http: ["address", "tls", "tls_server_name", "pool_size", "strategy"],
};

const OTHER_KEYS = ["type", "name", "via"];

/** @throws {ImportError} */
export function readLink(url: URL): Found {
  if (url.hostname !== "import" || !/^\/?$/.test(url.pathname)) {
    throw new ImportError("the only link of Sockeye's is sockeye://import?…");
  }
  const parameters = url.searchParams;
  const type = parameters.get("type") ?? "ssh";
  const keys = KEYS[type];
  if (keys === undefined) throw new ImportError("its type is none of ssh, socks5 and http");
  const name = parameters.get("name") ?? "";
  const via = parameters.get("via");
  if (parameters.get("address") === null) throw new ImportError("it has no address");
  const upstream: Record<string, unknown> = { type };
  const left = new Set<string>();
  for (const [key, value] of parameters) {
    if (keys.includes(key)) upstream[key] = literal(value);
    else if (!OTHER_KEYS.includes(key)) left.add(key);
  }
  return {
    id: name,
    name,
    upstream,
    via: via ?? undefined,
    from: `a link to ${name === "" ? (parameters.get("address") ?? "") : name}`,
    warnings: left.size === 0 ? [] : [`${[...left].join(", ")} can't come with a link and was left out`],
  };
}

/**
 * The link to an upstream, without its secrets and without what a link can't say.
 * @param upstream as the file has it.
 */
export function writeLink(name: string, upstream: Readonly<Record<string, unknown>>): string {
  const type = typeof upstream["type"] === "string" ? upstream["type"] : "ssh";
  const parameters = new URLSearchParams({ type, name });
  for (const key of [...(KEYS[type] ?? []), "via"]) {
    const value = upstream[key];
    if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") {
      parameters.set(key, String(value));
    }
  }
  return `sockeye://import?${parameters.toString()}`;
}
