/**
 * A client with one share and the echo that it shares, in a process of its own. Arguments: the relay's control port, `http` or
 * `tcp`, and a name. Prints the public address, or ends with 1 and the reason on standard error where the relay does not want it.
 */
import { ShareClient } from "@sockeye/engine/share/client";
import { startLocalHttp, startLocalTcp } from "./relay.ts";

const [control = "", kind = "", name] = process.argv.slice(2);
const local =
  kind === "tcp"
    ? await startLocalTcp((socket) => {
        socket.on("data", (chunk: Buffer) => socket.write(chunk));
        socket.on("end", () => socket.end());
      })
    : await startLocalHttp((request, response) => request.pipe(response));
const client = new ShareClient({
  relay: { host: "127.0.0.1", port: Number(control) },
  token: "token-ada",
  observer: {
    shared: (share) => console.log(share.addresses[0]),
    unshared: (_share, code, message) => giveUp(`${code}: ${message}`),
    refused: (code, message) => giveUp(`${code}: ${message}`),
  },
});
client.add({ kind: kind === "tcp" ? "tcp" : "http", name, target: local.target });
client.start();

function giveUp(reason: string): void {
  console.error(`not shared: ${reason}`);
  process.exit(1);
}
