import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { homedir, tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { SshUpstreamConfig } from "../../config/config.ts";
import { resolveHop, resolveHost } from "./host.ts";

let folder: string;
let config: SshUpstreamConfig;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "sockeye-host-"));
  const ssh_config_file = join(folder, "config");
  await writeFile(
    ssh_config_file,
    `
Host gate
  HostName gate.example.com
  Port 2022
  User filed
  IdentityFile /filed
  UserKnownHostsFile /filed_hosts
  GlobalKnownHostsFile /global_hosts
  StrictHostKeyChecking yes
  ServerAliveInterval 11
  ServerAliveCountMax 4
  ConnectTimeout 6
  IdentityAgent /filed_agent
  ProxyJump hop
`,
  );
  config = {
    type: "ssh",
    address: "gate",
    pool_size: 1,
    strategy: "round-robin",
    ssh_config: true,
    ssh_config_file,
  };
});
after(async () => rm(folder, { recursive: true }));

test("what Sockeye's configuration leaves out comes from ssh_config", async () => {
  assert.deepEqual(await resolveHost(config, 15), {
    alias: "gate",
    server: { host: "gate.example.com", port: 2022 },
    user: "filed",
    identityFiles: ["/filed"],
    identitiesChosen: true,
    identitiesOnly: false,
    agent: "/filed_agent",
    password: undefined,
    passphrase: undefined,
    proxy: { jump: ["hop"] },
    knownHostsFiles: ["/filed_hosts", "/global_hosts"],
    hostKeyAlias: undefined,
    hostKeyMode: "strict",
    keepaliveIntervalMs: 11_000,
    keepaliveCountMax: 4,
    connectTimeoutMs: 6000,
  });
});

test("what Sockeye's configuration says wins", async () => {
  const said: SshUpstreamConfig = {
    ...config,
    address: "gate:23",
    user: "said",
    identity_file: ["/said"],
    known_hosts_file: ["/said_hosts"],
    host_key_check: "off",
    keepalive_interval: 2,
    keepalive_count_max: 5,
    agent: false,
    via: "another",
  };
  const host = await resolveHost(said, 4);
  assert.deepEqual(host.server, { host: "gate.example.com", port: 23 });
  assert.equal(host.user, "said");
  assert.deepEqual(host.identityFiles, ["/said", "/filed"]);
  assert.deepEqual(host.knownHostsFiles, ["/said_hosts", "/global_hosts"]);
  assert.equal(host.hostKeyMode, "off");
  assert.deepEqual([host.keepaliveIntervalMs, host.keepaliveCountMax], [2000, 5]);
  assert.equal(host.agent, undefined);
  assert.equal(host.connectTimeoutMs, 4000);
  assert.equal(host.proxy, undefined, "via says how to get there");
});

test("where nothing is said, defaults are OpenSSH's", async () => {
  const host = await resolveHost({ ...config, address: "192.0.2.1", ssh_config: false, agent: false }, 15);
  assert.deepEqual(host.server, { host: "192.0.2.1", port: 22 });
  assert.equal(host.user, userInfo().username);
  assert.deepEqual(host.identityFiles[0], join(homedir(), ".ssh/id_ed25519"));
  assert.equal(host.identitiesChosen, false);
  assert.equal(host.knownHostsFiles[0], join(homedir(), ".ssh/known_hosts"));
  assert.equal(host.hostKeyMode, undefined);
  assert.deepEqual([host.keepaliveIntervalMs, host.keepaliveCountMax], [5000, 3]);
});

test("a hop has a user, a port and a section of its own, and none of the upstream's credentials", async () => {
  const own = { ...config, user: "said", identity_file: ["/said"], password: { text: "secret" } };
  const gate = await resolveHop("gate", own, 15);
  assert.deepEqual([gate.user, gate.server.port, gate.identityFiles], ["filed", 2022, ["/filed"]]);
  assert.equal(gate.password, undefined);
  const other = await resolveHop("ssh://me@other:2200", own, 15);
  assert.deepEqual([other.user, other.server], ["me", { host: "other", port: 2200 }]);
  await assert.rejects(resolveHop("a b", own, 15), { code: "unsupported", message: /ProxyJump a b/ });
});
