import { value } from "@sockeye/config-kit/value";
import { z } from "zod";
import { isNetwork, MAX_ALLOWED_NETWORKS } from "@sockeye/link/guard";
import { faultOfName } from "@sockeye/link/public-name";
import { isHost, parseEndpoint } from "../endpoint.ts";
import { defaultPorts } from "./defaults.ts";
import { auth, boolean, connectTo, oneOf, optional, path, secret, text, whole } from "./schema-values.ts";

/** The sections of shares and of the relays that they go through. */

export const relaySchema = z.strictObject({
  address: connectTo(defaultPorts.relay),
  token: optional(secret),
  token_file: optional(path),
  tls: optional(boolean),
  tls_ca_file: optional(path),
  tls_server_name: optional(text("a host name", isHost)),
  tls_cert_file: optional(path),
  tls_key_file: optional(path),
  links: optional(whole(1, 8)),
  one_connection_per_tunnel: optional(boolean),
});

/** A port alone is one of this machine. */
const target = value("a port or host:port, such as 3000 or localhost:3000", (input) => {
  const port = typeof input === "number" ? String(input) : input;
  if (typeof port !== "string" || port === "") return undefined;
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(port))
    throw new SyntaxError("a target is host:port, without a scheme such as http://");
  const address = /^\d+$/.test(port) ? `localhost:${port}` : port;
  if (parseEndpoint(address).port === 0)
    throw new SyntaxError("port 0 can't be connected to; a port is a number from 1 to 65535");
  return address;
});

const allow = value("a list of networks and addresses, such as [10.0.0.0/8, 192.0.2.7]", (input) => {
  const list: unknown[] = Array.isArray(input) ? input : [input];
  if (list.length === 0) throw new SyntaxError("an empty list lets nobody in; leave allow out to let all in");
  if (list.length > MAX_ALLOWED_NETWORKS)
    throw new SyntaxError(`a share allows at most ${MAX_ALLOWED_NETWORKS} networks, not ${list.length}`);
  const wrong = list.find((item) => typeof item !== "string" || !isNetwork(item));
  if (typeof wrong === "string") throw new SyntaxError(`allow holds "${wrong}", which is not a network`);
  return wrong === undefined ? (list as string[]) : undefined;
});

export const shareSchema = z.strictObject({
  kind: optional(oneOf("http", "tcp")),
  target,
  relay: optional(text("the name of a relay")),
  name: optional(
    text(
      "a name of letters a to z, digits and hyphens, at most 63",
      (name) => faultOfName(name) === undefined && name === name.toLowerCase(),
    ),
  ),
  port: optional(whole(1, 65_535)),
  host_header: optional(text("a host, or host:port", (host) => /^[\w.:[\]-]{1,261}$/.test(host))),
  basic_auth: optional(auth),
  allow: optional(allow),
  offline_page: optional(path),
  inspect: optional(boolean),
  enabled: optional(boolean),
});

export type FileRelay = z.output<typeof relaySchema>;
export type FileShare = z.output<typeof shareSchema>;
