import { once } from "node:events";
import { type ClientRequest, request, type RequestOptions } from "node:http";
import { connect, type Socket } from "node:net";
import { type Endpoint, parseEndpoint } from "@sockeye/engine";
import { DEMO_SUFFIX, PLACES } from "./world.ts";

/** Between two visits. Four upstreams take turns, so each carries a visit in somewhat more than a second. */
const VISIT_MS = 350;
/** Every this many visits, something goes wrong or lasts. */
const BLOCKED_EVERY = 23;
const FAILING_EVERY = 41;
const LASTING_EVERY = 13;
const LASTING_SECONDS = 25;
/** Visits under way; more are not begun, as where nothing answers. */
const MAX_VISITS = 32;
const VISIT_TIMEOUT_MS = 60_000;

/** Where the engine takes connections in, as it is at the moment; nowhere while it is disconnected. */
export interface Inbounds {
  readonly socks5?: string | undefined;
  readonly http?: string | undefined;
}

/**
 * A little traffic through each demo upstream, as a few programs make it: pages, now and then a transfer that takes its time, a
 * name that is blocked, a port where nobody answers. It goes through the engine's listeners like anybody's.
 * @returns the way to end it.
 */
export function startTraffic(upstreams: readonly string[], inbounds: () => Inbounds): () => void {
  const underWay = new Set<AbortController>();
  let count = 0;
  const timer = setInterval(() => {
    if (underWay.size >= MAX_VISITS) return;
    const number = count++;
    const abort = new AbortController();
    underWay.add(abort);
    const visit = visitNumber(number, upstreams);
    // Traffic that fails is part of the picture; the engine tells why.
    pay(visit, Math.floor(number / upstreams.length) % 2 === 0 ? "http" : "socks5", {
      inbounds: inbounds(),
      signal: abort.signal,
    })
      .catch(() => {})
      .finally(() => underWay.delete(abort));
  }, VISIT_MS);
  return () => {
    clearInterval(timer);
    for (const abort of underWay) abort.abort();
  };
}

interface Visit {
  readonly target: Endpoint;
  readonly path: string;
}

function visitNumber(number: number, upstreams: readonly string[]): Visit {
  const upstream = upstreams[number % upstreams.length]!;
  const place = PLACES[Math.floor(number / upstreams.length) % PLACES.length]!;
  const host = `${place}.${upstream}${DEMO_SUFFIX}`;
  if (number % BLOCKED_EVERY === BLOCKED_EVERY - 1) return visitTo(`ads${DEMO_SUFFIX}`, 80, "/");
  if (number % FAILING_EVERY === FAILING_EVERY - 1) return visitTo(host, 81, "/");
  if (number % LASTING_EVERY !== 5) return visitTo(host, 80, "/");
  // 16 to 128 KB a second, so that lines in a graph can be told apart.
  const rate = 16_384 * 2 ** (Math.floor(number / LASTING_EVERY) % 4);
  return visitTo(`video.${upstream}${DEMO_SUFFIX}`, 80, `/stream?rate=${rate}&seconds=${LASTING_SECONDS}`);
}

function visitTo(host: string, port: number, path: string): Visit {
  return { target: { host, port }, path };
}

interface Way {
  readonly inbounds: Inbounds;
  readonly signal: AbortSignal;
}

async function pay({ target, path }: Visit, kind: "http" | "socks5", way: Way): Promise<void> {
  const signal = AbortSignal.any([way.signal, AbortSignal.timeout(VISIT_TIMEOUT_MS)]);
  const address = way.inbounds[kind];
  if (address === undefined) return;
  const name = target.port === 80 ? target.host : `${target.host}:${target.port}`;
  const common: RequestOptions = { signal, headers: { host: name, connection: "close" } };
  if (kind === "http") {
    const { host, port } = parseEndpoint(address);
    await readAnswer(request({ ...common, agent: false, host, port, path: `http://${name}${path}` }));
    return;
  }
  const socket = await connectBySocks(parseEndpoint(address), target, signal);
  await readAnswer(request({ ...common, path, createConnection: () => socket }));
}

async function readAnswer(outgoing: ClientRequest): Promise<void> {
  outgoing.on("error", () => {});
  outgoing.end();
  const [response] = (await once(outgoing, "response")) as [NodeJS.ReadableStream];
  response.resume();
  await once(response, "end");
}

/** RFC 1928, as an application on this machine does it: no credentials, and the name for the other side to resolve. */
async function connectBySocks(proxy: Endpoint, target: Endpoint, signal: AbortSignal): Promise<Socket> {
  const socket = connect({ ...proxy, signal });
  socket.on("error", () => {});
  const name = Buffer.from(target.host);
  try {
    socket.write(Buffer.of(5, 1, 0));
    await once(socket, "data", { signal });
    socket.write(
      Buffer.concat([
        Buffer.of(5, 1, 0, 3, name.length),
        name,
        Buffer.of(target.port >> 8, target.port & 0xff),
      ]),
    );
    const [reply] = (await once(socket, "data", { signal })) as [Buffer];
    if (reply[1] !== 0) throw new Error(`the proxy answered ${reply[1]}`);
    // A web server speaks second, so nothing is lost until somebody listens.
    return socket;
  } catch (error) {
    socket.destroy();
    throw error;
  }
}
