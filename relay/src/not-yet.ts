import type { RelayConfig } from "./config/schema.ts";

/**
 * The settings in use that this relay reads and does not carry out yet. It refuses to start with one: a setting that is
 * accepted and ignored is worse than none.
 * @returns a sentence for each.
 */
export function notYet(config: RelayConfig): string[] {
  const { control, data, public_http, public_https, tcp } = config;
  const receiving = { control, data, public_http, public_https, tcp };
  const used: [string, boolean][] = [
    ...Object.entries(receiving).map(([name, listener]): [string, boolean] => [
      `${name}.proxy_protocol`,
      listener.proxy_protocol !== "off",
    ]),
    ["proxy_protocol_out", config.proxy_protocol_out !== "off"],
  ];
  return used.flatMap(([key, isUsed]) => (isUsed ? [`${key} is not carried out by this version yet`] : []));
}
