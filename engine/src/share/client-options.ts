import type { ConnectionOptions } from "node:tls";
import { parseEndpoint } from "@sockeye/config-kit/endpoint";
import type { RelayConfig, Secret } from "../config/config.ts";
import { readNamedFile } from "../named-file.ts";
import type { ShareClientOptions } from "./share.ts";

/**
 * What a client of this relay needs.
 * @throws {Error} where the token or a certificate's file can't be read, with a sentence.
 */
export async function clientOptionsOf(
  config: RelayConfig,
  readSecret: (secret: Secret) => Promise<string>,
): Promise<Pick<ShareClientOptions, "relay" | "links" | "apart" | "token" | "tls">> {
  const { address, token, tls, links, one_connection_per_tunnel } = config;
  return {
    relay: parseEndpoint(address),
    links,
    apart: one_connection_per_tunnel,
    token: token === undefined ? undefined : await readSecret(token),
    tls: tls ? await tlsOptions(config) : undefined,
  };
}

async function tlsOptions(config: RelayConfig): Promise<ConnectionOptions> {
  const { tls_ca_file, tls_server_name, tls_cert_file, tls_key_file } = config;
  return {
    ...(tls_ca_file !== undefined && { ca: await readPem(tls_ca_file) }),
    ...(tls_server_name !== undefined && { servername: tls_server_name }),
    ...(tls_cert_file !== undefined && { cert: await readPem(tls_cert_file) }),
    ...(tls_key_file !== undefined && { key: await readPem(tls_key_file) }),
  };
}

const MAX_PEM_BYTES = 4 * 1024 * 1024;

async function readPem(path: string): Promise<string> {
  try {
    return await readNamedFile(path, MAX_PEM_BYTES);
  } catch (error) {
    throw new Error(`${path} can't be read: ${(error as Error).message}`, { cause: error });
  }
}
