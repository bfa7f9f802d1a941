import { writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { connect } from "node:net";
import { join } from "node:path";
import { makePeerFolder } from "../../test/peers/peer-process.ts";
import { startChild } from "../child.ts";
import { program } from "../load/load.ts";
import { findPeer } from "./find-peer.ts";
import { SERVER_ADDRESS, type Namespaces } from "./namespaces.ts";

/** Ports in the server's namespace, which is ours alone. */
export const SOCKS_PORT = 1080;
export const IPERF_PORT = 5201;
export const HTTP_PORT = 8080;
export const ECHO_PORT = 7007;

const UPSTREAMS = ["hev-socks5-server", "danted"] as const;

export interface Upstream {
  readonly name: string;
  /** Descriptors that it has for each flow. */
  readonly descriptors: number;
}

/** Starts the targets, and the SOCKS5 server that is everybody's upstream. */
export async function startServerSide(
  namespaces: Namespaces,
  stack: AsyncDisposableStack,
): Promise<Upstream> {
  const site = namespaces.inServer([program("site"), String(HTTP_PORT), String(ECHO_PORT)]);
  stack.use(await startChild({ command: site[0]!, args: site.slice(1) }));

  const asked = process.env["SOCKEYE_BENCH_UPSTREAM"];
  const name = UPSTREAMS.find((each) => (asked ?? each) === each && findPeer(each) !== undefined);
  if (name === undefined) {
    throw new Error(
      `no SOCKS5 server to be the upstream: ${asked ?? UPSTREAMS.join(" or ")} is not installed`,
    );
  }
  const folder = makePeerFolder("upstream");
  const file = join(folder, "upstream.conf");
  writeFileSync(file, name === "danted" ? danteConfiguration(folder) : hevConfiguration());
  const args = name === "danted" ? ["-f", file, "-p", join(folder, "pid")] : [file];
  const server = namespaces.inServer([findPeer(name)!, ...args]);
  stack.use(
    await startChild({
      command: server[0]!,
      args: server.slice(1),
      isReady: () => accepts(SERVER_ADDRESS, SOCKS_PORT),
    }),
  );
  // hev-socks5-server splices through two pipes, which are two descriptors each.
  return name === "danted" ? { name: "Dante", descriptors: 2 } : { name, descriptors: 6 };
}

function hevConfiguration(): string {
  return `main:
  workers: ${cpus().length}
  port: ${SOCKS_PORT}
  listen-address: '${SERVER_ADDRESS}'
misc:
  log-level: error
`;
}

function danteConfiguration(folder: string): string {
  const everybody = "from: 0/0 to: 0/0";
  return `logoutput: ${join(folder, "log")}
internal: ${SERVER_ADDRESS} port = ${SOCKS_PORT}
external: veth-server
clientmethod: none
socksmethod: none
user.privileged: root
user.unprivileged: root
client pass { ${everybody} }
socks pass { ${everybody} command: connect udpassociate }
socks pass { ${everybody} command: udpreply }
`;
}

/** True when somebody answers there. */
function accepts(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const tell = (answer: boolean) => () => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(500, tell(false));
    socket.once("connect", tell(true));
    socket.once("error", tell(false));
  });
}
