import { globSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeCertificate } from "./certificates.ts";
import { freePort, makePeerFolder, startPeerProcess } from "./peer-process.ts";

export interface SquidOptions {
  /** Ask for Basic credentials; they are in the result. */
  readonly auth?: boolean;
  /** Listen with TLS, with a certificate for these names (DNS names or `IP:…`) from an authority of its own. */
  readonly tlsNames?: readonly string[];
  /** Addresses it refuses to connect to, as networks. */
  readonly refuse?: readonly string[];
  /** Where to listen, so that a test can start it again at the same place. Default: a free port. */
  readonly port?: number;
}

export interface Squid {
  readonly host: string;
  readonly port: number;
  readonly username?: string;
  readonly password?: string;
  /** With TLS: the authority that signed its certificate, PEM. */
  readonly caFile?: string;
  stop(): Promise<void>;
}

const credentials = { username: "squid-user", password: "p ss:w%rd" };

/** A real HTTP proxy (squid) on loopback, plain or with TLS. */
export async function startSquid(options: SquidOptions = {}): Promise<Squid> {
  const port = options.port ?? (await freePort());
  const folder = makePeerFolder("squid");
  const configFile = join(folder, "squid.conf");
  const tls = options.tlsNames && makeCertificate(folder, options.tlsNames);
  const listen = tls
    ? `https_port 127.0.0.1:${port} tls-cert=${tls.certFile} tls-key=${tls.keyFile}`
    : `http_port 127.0.0.1:${port}`;
  writeFileSync(configFile, `${listen}\n${configuration(folder, options)}`);
  const service = `sockeye${port}`;
  const args = ["-N", "-f", configFile, "-n", service];
  const peer = await startPeerProcess({ program: "squid", args, port, folder, graceMs: 100 });
  return {
    host: "127.0.0.1",
    port,
    ...(options.auth && credentials),
    ...(tls && { caFile: tls.caFile }),
    stop: async () => {
      await peer.stop();
      // Squid needs a second to end by itself; ended sooner, it leaves its shared memory behind.
      for (const file of globSync(`/dev/shm/${service}-*`)) rmSync(file, { force: true });
    },
  };
}

function configuration(folder: string, options: SquidOptions): string {
  const helper = join(folder, "check-password");
  // Squid sends the user and the password percent-encoded.
  const expected = `${encodeURI(credentials.username)} ${encodeURI(credentials.password)}`;
  const script = `#!/bin/sh\nwhile read -r line; do if [ "$line" = '${expected}' ]; then echo OK; else echo ERR; fi; done\n`;
  writeFileSync(helper, script, { mode: 0o755 });
  const auth = `
auth_param basic program ${helper}
auth_param basic children 1 startup=1 idle=1
auth_param basic realm sockeye
acl known proxy_auth REQUIRED
http_access allow known
http_access deny all`;
  const refuse = (options.refuse ?? []).map(
    (network, i) => `acl refused${i} dst ${network}\nhttp_access deny refused${i}`,
  );
  return `${refuse.join("\n")}
${options.auth ? auth : "http_access allow all"}
cache deny all
cache_mem 0 MB
memory_pools off
access_log none
cache_log /dev/null
pid_filename none
pinger_enable off
forward_timeout 5 seconds
shutdown_lifetime 0 seconds
max_filedescriptors 1024
`;
}
