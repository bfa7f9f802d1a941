/*
 * Real upstreams: OpenSSH's sshd, Dante and tinyproxy, as one ordinary user. Its arguments are the interface that Dante connects
 * from, and addresses that sshd listens on; the others listen on all.
 */
import { startDante } from "./dante.ts";
import { startSshd } from "./sshd.ts";
import { startTinyproxy } from "./tinyproxy.ts";

/** Told by IPC when all accept. */
export interface UpstreamPorts {
  readonly ssh: { readonly port: number; readonly user: string; readonly identityFile: string };
  readonly socks5: { readonly port: number };
  readonly http: { readonly port: number };
}

const SSH_PORT = 2222;

const [external = "lo", ...hosts] = process.argv.slice(2);
const [ssh, socks5, http] = await Promise.all([
  startSshd({
    hostKeys: ["ed25519"],
    port: SSH_PORT,
    config: [...hosts.map((host) => `ListenAddress ${host}:${SSH_PORT}`), "MaxSessions 2000"],
  }),
  startDante({ on: { host: "0.0.0.0", external } }),
  startTinyproxy({ host: "0.0.0.0" }),
]);
const stop = async () => {
  await Promise.all([ssh.stop(), socks5.stop(), http.stop()]);
  process.exit();
};
process.on("disconnect", () => void stop());
const ports: UpstreamPorts = {
  ssh: { port: ssh.port, user: ssh.user, identityFile: ssh.identityFile },
  socks5: { port: socks5.port },
  http: { port: http.port },
};
process.send?.(ports);
