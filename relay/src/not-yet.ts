import type { RelayConfig } from "./config/schema.ts";

/**
 * The settings in use that this relay reads and does not carry out yet. It refuses to start with one: a setting that is
 * accepted and ignored is worse than none.
 * @returns a sentence for each.
 */
export function notYet(config: RelayConfig): string[] {
  const { admin } = config;
  const used: [string, boolean][] = [
    ["admin.credentials_file", admin.credentials_file !== undefined],
    ["admin.tls_cert", admin.tls_cert.length > 0],
    ["profiling", config.profiling],
    ["otel_endpoint", config.otel_endpoint !== undefined],
  ];
  return used.flatMap(([key, isUsed]) => (isUsed ? [`${key} is not carried out by this version yet`] : []));
}
