import { formatEndpoint } from "@sockeye/config-kit/endpoint";
import type { RelayConfig } from "./config/schema.ts";
import type { PublicUrl } from "./config/values.ts";
import type { PublicAddress } from "./names/registry.ts";

/** The listeners' ports, as bound; undefined: there is none. */
export interface PublicPorts {
  readonly http: number | undefined;
  readonly https: number | undefined;
}

/**
 * Where the public finds a share, as its client is told: URLs, those by TLS first, or `host:port`. What the configuration says of
 * it holds, since only an operator knows what stands in front of the relay; otherwise the addresses are those of the listeners.
 */
export function publicAddresses(
  address: PublicAddress,
  { domains, public_urls, tcp }: Pick<RelayConfig, "domains" | "public_urls" | "tcp">,
  ports: PublicPorts,
): string[] {
  if (address.kind === "tcp")
    return [formatEndpoint({ host: tcp.public_host ?? domains[0]!, port: address.port })];
  const templates = public_urls.length > 0 ? public_urls : urlsOfListeners(ports);
  return templates.flatMap(({ scheme, domain, port }) =>
    (domain === undefined ? domains : [domain]).map(
      (each) => `${scheme}://${address.name}.${each}${port === undefined ? "" : `:${port}`}`,
    ),
  );
}

function urlsOfListeners({ http, https }: PublicPorts): PublicUrl[] {
  const at = (scheme: "http" | "https", usual: number, port: number | undefined): PublicUrl[] =>
    port === undefined ? [] : [{ scheme, domain: undefined, port: port === usual ? undefined : port }];
  return [...at("https", 443, https), ...at("http", 80, http)];
}
