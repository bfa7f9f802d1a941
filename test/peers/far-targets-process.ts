/*
 * A host with the services of far-services.ts; told what to do by IPC. With a folder of certificates as its argument there is
 * HTTPS too, and with one of files to serve they are served.
 */
import { createSocket } from "node:dgram";
import { createReadStream, readFileSync } from "node:fs";
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { createServer, type Socket } from "node:net";
import { networkInterfaces } from "node:os";
import { join, normalize } from "node:path";
import { pipeline } from "node:stream/promises";
import { patternChunks } from "./echo.ts";
import { type FarQuestion, type FarState, PORT, SINK_HEAD } from "./far-services.ts";
import { checksumOf } from "./tun-client.ts";

const [certificates, files] = process.argv.slice(2);
const open = new Set<Socket>();
const stubborn = new Set<Socket>();
const sources = new Set<string>();
const requests: string[] = [];
let accepted = 0;
let read = 0;

function serve(port: number, handle: (socket: Socket) => void): Promise<void> {
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    accepted++;
    open.add(socket);
    socket.on("close", () => open.delete(socket));
    socket.on("error", () => socket.destroy());
    handle(socket);
  });
  // Ten thousand may come at once.
  return new Promise((resolve) => server.listen({ port, host: "::", backlog: 4096 }, resolve));
}

function sink(socket: Socket): void {
  readPattern(socket).then(
    (answer) => socket.end(`${answer}\n`),
    () => socket.destroy(),
  );
}

async function readPattern(socket: Socket): Promise<string> {
  const stream = socket.iterator({ destroyOnReturn: false });
  const { value: first } = (await stream.next()) as { value: Buffer | undefined };
  const rest = first?.subarray(SINK_HEAD) ?? Buffer.alloc(0);
  return checksumOf(stream, Number(first?.toString("latin1", 0, SINK_HEAD)), rest);
}

function source(socket: Socket): void {
  socket.once("data", (line: Buffer) => {
    pipeline(patternChunks(Number(line)), socket).catch(() => socket.destroy());
  });
}

function answerHttp(request: IncomingMessage, response: ServerResponse): void {
  requests.push(`${request.headers.host ?? ""} ${request.url ?? ""}`);
  const path = normalize(decodeURIComponent(new URL(request.url ?? "/", "http://x").pathname));
  if (files === undefined || path === "/") {
    response.setHeader("Content-Type", "text/html");
    response.end("<title>far away</title><h1>hello from far away</h1>\n");
    return;
  }
  const stream = createReadStream(join(files, path));
  stream.on("error", () => {
    response.statusCode = 404;
    response.end();
  });
  stream.pipe(response);
}

await serve(PORT.echo, (socket) => void socket.pipe(socket));
await serve(PORT.sink, sink);
await serve(PORT.source, source);
await serve(PORT.stubborn, (socket) => {
  socket.write("hello\n");
  stubborn.add(socket);
});
await serve(PORT.resets, (socket) => socket.once("data", () => socket.resetAndDestroy()));
await serve(PORT.ends, (socket) => socket.once("data", () => socket.end()));
await serve(PORT.greets, (socket) => {
  socket.end("hello\n");
  socket.on("data", (chunk) => (read += chunk.length));
});

const http = createHttpServer(answerHttp);
await new Promise<void>((resolve) => http.listen(PORT.http, "::", resolve));
if (certificates !== undefined && certificates !== "") {
  const key = readFileSync(join(certificates, "server.key"));
  const https = createHttpsServer({ key, cert: readFileSync(join(certificates, "server.pem")) }, answerHttp);
  await new Promise<void>((resolve) => https.listen(PORT.https, "::", resolve));
}

// One socket for each address, because an answer must come from where the question went.
for (const { address, family } of Object.values(networkInterfaces()).flatMap((all) => all ?? [])) {
  if (address.startsWith("fe80:")) continue;
  const udp = createSocket({ type: family === "IPv4" ? "udp4" : "udp6", recvBufferSize: 1 << 20 });
  udp.on("message", (payload, from) => {
    sources.add(`${from.address} ${from.port}`);
    udp.send(payload, from.port, from.address);
  });
  await new Promise<void>((resolve) => udp.bind(PORT.echo, address, resolve));
}

process.on("message", (question: FarQuestion) => {
  if (question === "resume") {
    for (const socket of stubborn) {
      checksumOf(socket.iterator({ destroyOnReturn: false })).then(
        (answer) => socket.end(`${answer}\n`),
        () => socket.destroy(),
      );
    }
    stubborn.clear();
  }
  const state: FarState = {
    accepted,
    open: open.size,
    datagramSources: [...sources],
    read,
    requests,
  };
  process.send?.(state);
});
process.on("disconnect", () => process.exit());
process.send?.("ready");
