import type { Endpoint } from "@sockeye/config-kit/endpoint";
import type { PublicRequest } from "@sockeye/wire/request-head";
import { dialLocal } from "../local-target.ts";
import { localFailureOf } from "../local-failure.ts";
import { HttpTap } from "./http-tap.ts";
import type { KeptRequest } from "./kept-request.ts";
import type { RequestRing } from "./request-ring.ts";

/** How long the local service has for the whole of its answer. */
const REPLAY_MS = 30_000;
/** Replays of one share that run at one time. */
export const MAX_REPLAYS = 8;

/** @returns why a kept request can't be sent again, in words; undefined where it can. */
export function whyNoReplay(kept: KeptRequest): string | undefined {
  if (kept.request.upgrade !== undefined)
    return "it asked for another protocol, and what followed is not kept";
  if (!kept.requestComplete) return "it did not come to its end";
  if (kept.requestBody.isCut)
    return `its body has ${kept.requestBody.bytes} bytes, of which the first ${kept.requestBody.kept} were kept`;
  return undefined;
}

/**
 * Sends a kept request to the local service once more, and keeps the answer as a new request of the ring.
 * @param signal cuts it short.
 * @returns the new one at once, and when it is over.
 */
export function replay(
  kept: KeptRequest,
  way: { readonly target: Endpoint; readonly ring: RequestRing; readonly signal: AbortSignal },
): { readonly request: KeptRequest; readonly over: Promise<void> } {
  const body = kept.requestBody.content();
  const request = repeated(kept.request, body.length);
  const fresh = way.ring.begin(request, performance.now(), { remote: kept.remote, replayOf: kept.id });
  const over = send(fresh, body, way);
  return { request: fresh, over };
}

/** As it was, but for what belongs to the connection: this one serves one request, and the length is known. */
function repeated(request: PublicRequest, length: number): PublicRequest {
  const headers = request.headers.filter(({ name }) => !REPLACED.has(name.toLowerCase()));
  const framed = length > 0 || request.framing.kind !== "none";
  return {
    ...request,
    headers: [
      ...headers,
      ...(framed ? [{ name: "Content-Length", value: String(length) }] : []),
      { name: "Connection", value: "close" },
    ],
    framing: length > 0 ? { kind: "length", length } : { kind: "none" },
    keepAlive: false,
  };
}

const REPLACED = new Set(["connection", "content-length", "transfer-encoding", "expect", "trailer"]);

function headOf({ method, target, headers }: PublicRequest): Buffer {
  const fields = headers.map(({ name, value }) => `${name}: ${value}\r\n`).join("");
  return Buffer.from(`${method} ${target} HTTP/1.1\r\n${fields}\r\n`, "latin1");
}

function send(
  fresh: KeptRequest,
  body: Buffer,
  { target, signal }: { readonly target: Endpoint; readonly signal: AbortSignal },
): Promise<void> {
  const tap = new HttpTap(() => fresh);
  const socket = dialLocal(target);
  const late = AbortSignal.timeout(REPLAY_MS);
  const give = () => {
    fresh.failed(late.aborted ? `no whole answer within ${REPLAY_MS / 1000} seconds` : "the share has ended");
    socket.destroy();
  };
  for (const end of [signal, late]) {
    if (end.aborted) give();
    else end.addEventListener("abort", give, { once: true });
  }
  const head = headOf(fresh.request);
  tap.toLocal(head);
  if (body.length > 0) tap.toLocal(body);
  socket.on("data", (chunk: Buffer) => {
    tap.toPublic(chunk);
    if (fresh.state !== "open" || fresh.upgrade !== undefined) socket.destroy();
  });
  socket.on("end", () => {
    tap.localEnded();
    socket.end();
  });
  socket.on("error", (error) => fresh.failed(localFailureOf(error).message));
  socket.write(head);
  if (body.length > 0) socket.write(body);
  return new Promise((resolve) => {
    socket.once("close", () => {
      for (const end of [signal, late]) end.removeEventListener("abort", give);
      tap.ended(undefined);
      resolve();
    });
  });
}
