import {
  type Agent,
  type ClientRequest,
  type IncomingMessage,
  request,
  type ServerResponse,
} from "node:http";
import type { Duplex } from "node:stream";
import { type Endpoint, formatEndpoint, parseEndpoint } from "../endpoint.ts";
import { DialError } from "../errors.ts";
import { type Answer, answerParts, badRequest, failureAnswer, PORT_0 } from "./http-answers.ts";
import { endWith } from "./listener.ts";

/** The most bytes that a head may take, of a request and of a response. */
export const MAX_HEADER_BYTES = 32 * 1024;

/** Answers before the answer (1xx) that a server may give to one request. */
const MAX_EARLY_ANSWERS = 8;

/** Methods that may be sent again when a kept connection turns out to be closed (RFC 9110 §9.2.2), where no body was sent. */
const REPEATABLE = new Set(["GET", "HEAD", "OPTIONS", "TRACE"]);

/** Headers of one connection alone (RFC 9110 §7.6.1), the proxy's own credentials, and those that are written anew. */
const HOP_BY_HOP = new Set([
  "connection",
  "proxy-connection",
  "keep-alive",
  "te",
  "transfer-encoding",
  "upgrade",
  "proxy-authorization",
  "proxy-authenticate",
]);

/** Where an absolute-form request goes. */
export interface ForwardTarget {
  readonly endpoint: Endpoint;
  readonly authority: string;
  /** Path and query as the client wrote them. */
  readonly path: string;
}

/** Reads the target of a request to the proxy (RFC 9112 §3.2.2). Returns what to answer if it is none. */
export function readForwardTarget(url: string): ForwardTarget | Answer {
  const parts = /^([a-z][a-z0-9+.-]*):\/\/([^/?#]*)(.*)$/i.exec(url);
  if (parts === null)
    return badRequest("this is an HTTP proxy, not a web site: set it as the proxy of the program that asks");
  const [, scheme, authority, rest] = parts as unknown as [string, string, string, string];
  if (scheme.toLowerCase() !== "http")
    return badRequest(
      `this proxy forwards http:// only; ${scheme.toLowerCase()}:// goes through it by CONNECT`,
    );
  if (authority.includes("@"))
    return badRequest("a user name and password do not belong in the request's target");
  if (rest.includes("#")) return badRequest("a #fragment does not belong in the request's target");
  try {
    const endpoint = parseEndpoint(authority, 80);
    if (endpoint.port === 0) return PORT_0;
    return { endpoint, authority, path: rest.startsWith("/") ? rest : `/${rest}` };
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return badRequest(`the request's target is wrong: ${error.message}`);
  }
}

/** One request on its way: what came, what to answer it with, and where it goes. */
export interface Exchange {
  readonly incoming: IncomingMessage;
  readonly response: ServerResponse;
  readonly target: ForwardTarget;
  readonly agent: Agent;
  readonly guard: Guard;
}

/** Runs a reaction to an event. What it throws costs the client's connection, and nothing else. */
export type Guard = (react: () => void) => void;

export type Upgraded = (reply: IncomingMessage, upstream: Duplex, head: Buffer) => void;

/** What becomes of an exchange that does not go the ordinary way. */
interface Turns {
  /** The server changes the protocol. */
  readonly upgraded: Upgraded;
  /** Asks again, where the request may be sent again. */
  readonly again: (() => void) | undefined;
}

/** Forwards a request and its response, bodies streamed, trailers kept. Every failure becomes an answer or a cut. */
export function forward(exchange: Exchange): void {
  const { incoming, response, guard } = exchange;
  if (!isPlainlyChunked(incoming)) {
    answer(response, { status: 501, sentence: "the only transfer coding known here is chunked" });
    return;
  }
  const framing = "transfer-encoding" in incoming.headers ? ["Transfer-Encoding", "chunked"] : [];
  const outgoing = open(exchange, framing);
  if (outgoing === undefined) return;
  const repeatable = !hasBody(incoming) && REPEATABLE.has(incoming.method ?? "");
  heed(exchange, outgoing, {
    upgraded: (_, upstream) => {
      upstream.destroy();
      answer(
        response,
        failureAnswer(new DialError("protocol", "the server upgrades, which nobody asked for")),
      );
    },
    again: repeatable ? () => forward(exchange) : undefined,
  });
  response.once("close", () => {
    if (!response.writableFinished) outgoing.destroy();
  });
  if (hasBody(incoming)) {
    outgoing.flushHeaders();
    pump(incoming, outgoing, guard);
  } else outgoing.end();
}

/** Takes whatever the server says, up to its answer. Silence and failure are answered for it. */
export function heed(exchange: Exchange, outgoing: ClientRequest, { upgraded, again }: Turns): void {
  const { incoming, response, target, guard } = exchange;
  let answered = false;
  let earlyAnswers = 0;
  let mayContinue = incoming.httpVersionMinor > 0 && "expect" in incoming.headers;
  const fail = (error: NodeJS.ErrnoException): void => {
    if (answered) return;
    answered = true;
    outgoing.destroy();
    if (again && outgoing.reusedSocket && !response.destroyed) again();
    else answer(response, failureAnswer(asDialError(error, target.endpoint)));
  };
  outgoing.on("information", ({ statusCode }) => {
    if (answered) return;
    earlyAnswers++;
    guard(() => {
      if (earlyAnswers > MAX_EARLY_ANSWERS) {
        answered = true;
        outgoing.destroy();
        const sentence = `the server gave more than ${MAX_EARLY_ANSWERS} answers before its answer`;
        answer(response, failureAnswer(new DialError("protocol", sentence)));
      } else if (statusCode === 100 && mayContinue) {
        mayContinue = false;
        response.writeContinue();
      }
    });
  });
  outgoing.on("response", (reply) => {
    answered = true;
    guard(() => relay(exchange, reply));
  });
  outgoing.on("upgrade", (reply, upstream, head) => {
    answered = true;
    guard(() => upgraded(reply, upstream, head));
  });
  outgoing.on("error", (error) => guard(() => fail(error)));
  outgoing.on("close", () => {
    if (!answered) guard(() => fail(new Error("closed without an answer")));
  });
}

/** Makes the outgoing request, of which nothing is sent yet. Returns undefined when node:http finds it malformed, which is answered. */
export function open(exchange: Exchange, extra: readonly string[]): ClientRequest | undefined {
  const { incoming, response, target, agent } = exchange;
  const chunked = extra[0] === "Transfer-Encoding";
  const rewritten = ["host", "content-length", ...(chunked ? [] : ["trailer"])];
  const headers = ["Host", target.authority, ...endToEnd(incoming, rewritten)];
  if (incoming.headers["content-length"] !== undefined && !chunked)
    headers.push("Content-Length", incoming.headers["content-length"]);
  try {
    return request({
      agent,
      host: target.endpoint.host,
      port: target.endpoint.port,
      method: incoming.method,
      path: target.path,
      headers: [...headers, ...extra],
      maxHeaderSize: MAX_HEADER_BYTES,
    });
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    answer(response, badRequest("the request's target or headers have characters that HTTP does not allow"));
    return undefined;
  }
}

/** The headers that go on, flat, without those of this hop, those that Connection names, and those that are written anew. */
export function endToEnd(message: IncomingMessage, rewritten: readonly string[]): string[] {
  // A set: a head may name thousands, and hold thousands.
  const named = new Set(
    (message.headers.connection ?? "").split(",").map((name) => name.trim().toLowerCase()),
  );
  const headers: string[] = [];
  for (let i = 0; i < message.rawHeaders.length; i += 2) {
    const name = message.rawHeaders[i]!;
    const key = name.toLowerCase();
    if (HOP_BY_HOP.has(key) || rewritten.includes(key)) continue;
    // A length frames the body; it is not Connection's to take away (RFC 9110 §7.6.1).
    if (named.has(key) && key !== "content-length") continue;
    headers.push(name, message.rawHeaders[i + 1]!);
  }
  return headers;
}

/** Sends the request's body on as it comes, and its trailers. */
function pump(incoming: IncomingMessage, outgoing: ClientRequest, guard: Guard): void {
  incoming.on("end", () =>
    guard(() => {
      if (incoming.rawTrailers.length > 0) outgoing.addTrailers(pairs(incoming.rawTrailers));
      outgoing.end();
    }),
  );
  incoming.pipe(outgoing, { end: false });
}

/** Sends the response's head at once and its body as it comes. A response cut short cuts the client's connection. */
function relay({ incoming, response, guard }: Exchange, reply: IncomingMessage): void {
  // None was asked for with TE, and it is a hop's own: without its name, nobody could undo it.
  if (!isPlainlyChunked(reply)) {
    reply.destroy();
    const sentence = "the server's answer is in a transfer coding that nobody asked for";
    answer(response, failureAnswer(new DialError("protocol", sentence)));
    return;
  }
  const status = reply.statusCode ?? 502;
  const replyHasBody = incoming.method !== "HEAD" && status !== 204 && status !== 304;
  const chunked =
    replyHasBody && incoming.httpVersionMinor > 0 && reply.headers["content-length"] === undefined;
  response.sendDate = false;
  if (!incoming.complete && status >= 400) response.shouldKeepAlive = false;
  try {
    response.writeHead(status, reply.statusMessage ?? "", endToEnd(reply, chunked ? [] : ["trailer"]));
  } catch {
    reply.destroy();
    answer(response, failureAnswer(new DialError("protocol", "the server's answer is not HTTP")));
    return;
  }
  flushHead(response);
  reply.on("end", () =>
    guard(() => {
      if (chunked && reply.rawTrailers.length > 0) response.addTrailers(pairs(reply.rawTrailers));
      response.end();
      if (!incoming.complete) response.once("finish", () => abandonBody(incoming));
    }),
  );
  const cut = (): void => void incoming.socket.destroy();
  reply.on("error", cut);
  // A body that ends with its connection looks whole to node:http even when that connection failed.
  const hasLength = reply.headers["content-length"] !== undefined;
  if (replyHasBody && !hasLength && reply.headers["transfer-encoding"] === undefined)
    reply.socket.once("error", cut);
  reply.pipe(response, { end: false });
}

function isPlainlyChunked({ headers }: IncomingMessage): boolean {
  const coding = headers["transfer-encoding"];
  return coding === undefined || coding.toLowerCase() === "chunked";
}

/** Sends the head without waiting for a body, but in one piece with as much of the body as has come with it. */
function flushHead(response: ServerResponse): void {
  const { socket } = response;
  socket?.cork();
  response.flushHeaders();
  if (socket) setImmediate(() => socket.uncork());
}

/** The answer is given, and the rest of the request is of no use: it is dropped, and the connection ends. */
function abandonBody(incoming: IncomingMessage): void {
  incoming.unpipe();
  incoming.resume();
  endWith(incoming.socket, undefined);
}

/** Answers in the proxy's own words, and ends the connection when the request's body has not come to its end. */
export function answer(response: ServerResponse, own: Answer): void {
  if (response.headersSent || response.destroyed) return;
  const { headers, body } = answerParts(own);
  const { req: incoming } = response;
  if (hasBody(incoming)) {
    response.shouldKeepAlive = false;
    response.once("finish", () => abandonBody(incoming));
  }
  response.writeHead(own.status, headers);
  response.end(body);
}

/** RFC 9112 §6: a request has a body when its head says so. */
export function hasBody(incoming: IncomingMessage): boolean {
  return Number(incoming.headers["content-length"] ?? 0) > 0 || "transfer-encoding" in incoming.headers;
}

function pairs(flat: readonly string[]): [string, string][] {
  return Array.from({ length: flat.length / 2 }, (_, i) => [flat[i * 2]!, flat[i * 2 + 1]!]);
}

function asDialError(error: NodeJS.ErrnoException, target: Endpoint): DialError {
  if (error instanceof DialError) return error;
  const where = formatEndpoint(target);
  return error.code?.startsWith("HPE_")
    ? new DialError("protocol", `what ${where} answered is not HTTP`, { cause: error })
    : new DialError("closed", `${where} ended the connection before it answered`, { cause: error });
}
