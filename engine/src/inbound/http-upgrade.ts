import { ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { headBytes } from "./http-answers.ts";
import { endToEnd, type Exchange, heed, open, type Upgraded } from "./http-forward.ts";
import { endWith, ignoreError } from "./listener.ts";

/**
 * Forwards a request that asks for another protocol, such as WebSocket. When the far end agrees, the two connections are
 * joined; when it does not, its answer is relayed and the client's connection ends. The parser has left the client's socket,
 * which holds the early bytes.
 */
export function forwardUpgrade(asked: Omit<Exchange, "response">, socket: Socket): void {
  const { incoming } = asked;
  const response = new ServerResponse(incoming);
  const onDrain = (): void => void response.emit("drain");
  const detach = (): void => {
    socket.off("drain", onDrain);
    response.detachSocket(socket);
  };
  response.shouldKeepAlive = false;
  response.assignSocket(socket);
  socket.on("drain", onDrain);
  response.on("error", ignoreError);
  response.once("finish", () => {
    detach();
    endWith(socket, undefined);
  });
  askForUpgrade({ ...asked, response }, (reply, upstream, head) => {
    detach();
    const headers = endToEnd(reply, []);
    headers.push("Connection", "Upgrade", "Upgrade", reply.headers.upgrade ?? "");
    socket.write(headBytes(101, reply.statusMessage ?? "", headers));
    if (head.length > 0) upstream.unshift(head);
    upstream.allowHalfOpen = true;
    join(socket, upstream);
  });
}

function askForUpgrade(exchange: Exchange, upgraded: Upgraded): void {
  const wanted = exchange.incoming.headers.upgrade ?? "";
  const outgoing = open(exchange, ["Connection", "Upgrade", "Upgrade", wanted]);
  if (outgoing === undefined) return;
  heed(exchange, outgoing, { upgraded, again: () => askForUpgrade(exchange, upgraded) });
  outgoing.end();
}

function join(one: Duplex, other: Duplex): void {
  const cut = (): void => {
    one.destroy();
    other.destroy();
  };
  for (const stream of [one, other]) {
    stream.on("error", cut);
    stream.on("close", () => {
      if (stream.errored || !stream.readableEnded || !stream.writableFinished) cut();
    });
  }
  one.pipe(other);
  other.pipe(one);
}
