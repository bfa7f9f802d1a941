/** What an application without any proxy setting does in a TunWorld: the kernel's own sockets, and nothing else. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { pipeline } from "node:stream/promises";
import { crc32 } from "node:zlib";
import { patternChunks } from "./echo.ts";
import { PORT, SINK_HEAD } from "./far-services.ts";

const CONNECT_MS = 30_000;
const opened = new Set<Socket>();

/** Ends what a test that failed has left open. */
export function destroyOpen(): void {
  for (const socket of opened) socket.destroy();
}

/** Connects by the kernel. @throws the kernel's error, or one after half a minute. */
export async function open(host: string, port: number, options: object = {}): Promise<Socket> {
  const socket = connect({ host, port, allowHalfOpen: true, ...options });
  socket.setNoDelay(true);
  opened.add(socket);
  socket.once("close", () => opened.delete(socket));
  try {
    await once(socket, "connect", { signal: AbortSignal.timeout(CONNECT_MS) });
  } catch (error) {
    socket.destroy();
    throw error;
  }
  socket.on("error", () => {});
  return socket;
}

/** The code of the error that a connect ends in, and the milliseconds until then. */
export async function connectFailure(host: string, port: number): Promise<{ code: string; ms: number }> {
  const started = performance.now();
  try {
    (await open(host, port)).destroy();
    return { code: "connected", ms: performance.now() - started };
  } catch (error) {
    return { code: (error as NodeJS.ErrnoException).code ?? String(error), ms: performance.now() - started };
  }
}

/** Reads to the end, or to `most` bytes, of which `first` is here already: `<bytes> <crc32>`. */
export async function checksumOf(
  stream: AsyncIterable<Buffer>,
  most = Infinity,
  first: Buffer = Buffer.alloc(0),
): Promise<string> {
  let bytes = first.length;
  let sum = crc32(first);
  if (bytes < most) {
    for await (const chunk of stream) {
      bytes += chunk.length;
      sum = crc32(chunk, sum);
      if (bytes >= most) break;
    }
  }
  return `${bytes} ${sum.toString(16)}`;
}

const known = new Map<number, string>();

/** The checksum of so much of the pattern. */
export function patternChecksum(bytes: number): string {
  let sum = known.get(bytes);
  if (sum === undefined) {
    let crc = 0;
    for (const chunk of patternChunks(bytes)) crc = crc32(chunk, crc);
    sum = `${bytes} ${crc.toString(16)}`;
    known.set(bytes, sum);
  }
  return sum;
}

/**
 * Sends the pattern to a sink. @returns what the sink says of it.
 */
export async function upload(host: string, bytes: number): Promise<string> {
  const socket = await open(host, PORT.sink);
  const answer = readText(socket);
  socket.write(String(bytes).padEnd(SINK_HEAD));
  await pipeline(patternChunks(bytes), socket, { end: false });
  const said = (await answer).trim();
  socket.destroy();
  return said;
}

/** Has a source send the pattern. @returns the checksum of what came. */
export async function download(host: string, bytes: number): Promise<string> {
  const socket = await open(host, PORT.source);
  socket.write(`${bytes}\n`);
  const sum = await checksumOf(socket);
  socket.destroy();
  return sum;
}

/** Says something to an echo. @returns what came back when all had. */
export async function exchange(host: string, text = "hello"): Promise<string> {
  const socket = await open(host, PORT.echo);
  try {
    socket.write(text);
    let back = "";
    for await (const chunk of socket) {
      back += String(chunk);
      if (back.length >= text.length) break;
    }
    return back;
  } finally {
    socket.destroy();
  }
}

export async function readText(stream: AsyncIterable<Buffer>): Promise<string> {
  let text = "";
  for await (const chunk of stream) text += String(chunk);
  return text;
}

/** Waits for a condition, long enough for a machine under load. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
  ms = 20_000,
): Promise<void> {
  const deadline = performance.now() + ms;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`not within ${ms} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
