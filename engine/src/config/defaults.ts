import type { Limits, TunConfig } from "./config.ts";

/** The limits where the file gives none. Each is explained in docs/configuration.md. */
export const defaultLimits: Limits = {
  // At under 20 KB a flow, 16,384 flows cost some 320 MB and 32,768 descriptors: within what a desktop allows.
  max_connections: 16_384,
  handshake_timeout: 10,
  handshake_bytes: 32_768,
  connect_timeout: 15,
  dial_timeout: 30,
  // A shell or a database connection that says nothing overnight is in use; `ssh -D` keeps it too.
  idle_timeout: 0,
  half_close_timeout: 60,
  udp_idle_timeout: 120,
  drain_timeout: 10,
  ssh_receive_budget: 256,
};

export const defaultControlAddress = "127.0.0.1:0";

/** Ports where the address of an upstream gives none. ssh is absent: there ~/.ssh/config decides, and then 22. */
export const defaultPorts = { socks5: 1080, http: 8080, httpWithTls: 443, relay: 7000 } as const;

export const defaultSshConfigFile = "~/.ssh/config";

export const defaultTun: TunConfig = {
  enabled: false,
  cidrs: [],
  exclude: [],
  mtu: 1500,
  ping: false,
  block_when_disconnected: false,
  dns: "off",
};
