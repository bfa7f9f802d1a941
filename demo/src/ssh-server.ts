import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { timingSafeEqual } from "node:crypto";
import ssh2 from "ssh2";
import type { DemoServer } from "./servers.ts";
import type { DemoWorld } from "./world.ts";

export interface DemoSshServer extends DemoServer {
  /** `ssh-ed25519 AAAA…`, as in a known_hosts file. */
  readonly hostKey: string;
}

/** A bastion: an SSH server on loopback that lets one user in by password and forwards connections. */
export async function startDemoSshServer(
  world: DemoWorld,
  user: string,
  password: string,
): Promise<DemoSshServer> {
  const hostKey = newHostKey();
  const clients = new Set<ssh2.Connection>();
  const server = new ssh2.Server(
    { hostKeys: [hostKey.private], algorithms: { compress: ["none"] } },
    (client) => {
      clients.add(client);
      client.on("error", () => {});
      client.on("close", () => clients.delete(client));
      client.on("authentication", (context) => {
        const accepted =
          context.method === "password" && context.username === user && same(context.password, password);
        if (accepted) context.accept();
        else context.reject(["password"]);
      });
      client.on("tcpip", (accept, reject, { destIP, destPort }) => {
        world.dial({ host: destIP, port: destPort }, "the demo SSH bastion").then(
          (socket) => {
            const channel = accept();
            socket.on("error", () => channel.close());
            channel.on("error", () => socket.destroy());
            socket.pipe(channel).pipe(socket);
          },
          () => reject(),
        );
      });
    },
  );
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    hostKey: hostKey.public,
    port: (server.address() as AddressInfo).port,
    close: async () => {
      server.close();
      for (const client of clients) client.end();
    },
  };
}

/** One in some hundreds of the keys that ssh2 makes is one that it can't read. */
function newHostKey(): ReturnType<typeof ssh2.utils.generateKeyPairSync> {
  for (;;) {
    const pair = ssh2.utils.generateKeyPairSync("ed25519");
    if (!(ssh2.utils.parseKey(pair.private) instanceof Error)) return pair;
  }
}

function same(given: string, expected: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(expected)];
  return a.length === b.length && timingSafeEqual(a, b);
}
