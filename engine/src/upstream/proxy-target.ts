import { isIP } from "node:net";
import { domainToASCII } from "node:url";
import type { Endpoint } from "../endpoint.ts";
import { DialError } from "../errors.ts";
import { plainHost } from "./plain-host.ts";

/**
 * A target as it can be told to a proxy: a name in ASCII, or an address without a zone.
 * @throws {DialError} `unreachable` for an address with a zone (it means an interface of this machine), `dns` for what can't
 * be a name. Nothing gets through that could end a header line or be read as another target.
 */
export function proxyTarget(target: Endpoint): Endpoint {
  const host = plainHost(target.host);
  if (isIP(host) !== 0) {
    if (!host.includes("%")) return host === target.host ? target : { host, port: target.port };
    throw new DialError(
      "unreachable",
      `${host} names an interface of this machine, which a proxy can't reach`,
    );
  }
  const name = /^[\x21-\x7e]*$/.test(host) ? host : domainToASCII(host);
  if (!/^[A-Za-z0-9_.-]{1,255}$/.test(name))
    throw new DialError("dns", `${JSON.stringify(target.host)} is not a host name`, { step: "name" });
  return { host: name, port: target.port };
}
