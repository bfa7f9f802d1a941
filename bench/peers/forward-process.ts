// forward-process UPSTREAM_ADDRESS UPSTREAM_PORT TARGET4 TARGET6 SHIFT PORT…: what bench/load/forward.c does, as plainly as
// Node can: it listens on SHIFT above each PORT, asks the SOCKS5 server for that PORT of the target, and pipes.
import { connect, createServer, type Socket } from "node:net";

const [upstreamAddress, upstreamPort, target4, target6, shift, ...ports] = process.argv.slice(2);
const REPLY_HEAD_BYTES = 4;
const IPV6 = 4;

function requestFor(port: number, isSix: boolean): Buffer {
  const address = isSix ? asBytes(target6!) : Buffer.from(target4!.split(".").map(Number));
  return Buffer.from([5, 1, 0, isSix ? IPV6 : 1, ...address, port >> 8, port & 0xff]);
}

/** The 16 bytes of an IPv6 address; a SOCKS5 server takes no text. */
function asBytes(address: string): Buffer {
  const [head = "", tail = ""] = address.split("::");
  const words = (text: string): number[] =>
    text === "" ? [] : text.split(":").map((word) => Number.parseInt(word, 16));
  const left = words(head);
  const right = words(tail);
  const all = [...left, ...Array<number>(8 - left.length - right.length).fill(0), ...right];
  return Buffer.from(all.flatMap((word) => [word >> 8, word & 0xff]));
}

/** Waits for the method and for the reply, then lets the bytes flow. */
function handshake(application: Socket, upstream: Socket, request: Buffer): void {
  let isChosen = false;
  const read = (): void => {
    if (!isChosen) {
      if (upstream.read(2) === null) return;
      isChosen = true;
      upstream.write(request);
    }
    const head = upstream.read(REPLY_HEAD_BYTES) as Buffer | null;
    if (head === null) return;
    upstream.removeListener("readable", read);
    if (head[1] !== 0) return void application.destroy();
    // The address and port that the server bound come in the same segment as the head.
    upstream.read(head[3] === IPV6 ? 18 : 6);
    application.pipe(upstream).pipe(application);
  };
  upstream.on("readable", read);
  upstream.write(Buffer.from([5, 1, 0]));
}

let listening = 0;
for (const port of ports.map(Number)) {
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (application) => {
    const upstream = connect({
      host: upstreamAddress!,
      port: Number(upstreamPort),
      allowHalfOpen: true,
      noDelay: true,
    });
    application.on("error", () => upstream.destroy());
    upstream.on("error", () => application.destroy());
    upstream.on("close", () => application.destroy());
    const isSix = !(application.localAddress ?? "").includes(".");
    upstream.once("connect", () => {
      handshake(application, upstream, requestFor(port, isSix));
    });
  });
  server.listen({ port: port + Number(shift), host: "::", backlog: 4096 }, () => {
    if (++listening === ports.length) console.log("listening");
  });
}
