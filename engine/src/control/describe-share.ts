import { brotliDecompressSync, gunzipSync, inflateSync } from "node:zlib";
import { headerValue, type HttpHeaders } from "@sockeye/wire/http-head";
import type { KeptBody } from "../share/inspect/kept-body.ts";
import type { KeptRequest } from "../share/inspect/kept-request.ts";
import { whyNoReplay } from "../share/inspect/replay.ts";
import type { RequestRing } from "../share/inspect/request-ring.ts";
import type { ShareView, Shares } from "../share/shares.ts";
import type {
  CallParams,
  KeptBodyView,
  RequestDetail,
  RequestRow,
  ShareInfo,
  ShareList,
  ShareState,
  StreamEvent,
} from "./contract.ts";
import { MASK } from "./mask.ts";

export function describeShares(shares: Pick<Shares, "list" | "relays">): ShareList {
  return {
    shares: [...shares.list()].map(describeShare),
    relays: shares
      .relays()
      .map(({ name, config, state }) => ({ name, address: config.address, tls: config.tls, state })),
  };
}

function describeShare(view: ShareView): ShareInfo {
  const { name, config, live } = view;
  const {
    requests = 0,
    connections = 0,
    active = 0,
    bytesIn = 0,
    bytesOut = 0,
    lastAt,
  } = live?.traffic ?? {};
  const inspected = config.kind === "http" && config.inspect;
  return {
    name,
    kind: config.kind,
    target: config.target,
    relay: config.relay,
    enabled: config.enabled,
    inspect: inspected,
    guard: { basicAuth: config.basic_auth !== undefined, allow: [...(config.allow ?? [])] },
    offlinePage: config.offline_page !== undefined,
    state: stateOf(view),
    addresses: config.enabled ? [...(live?.addresses ?? [])] : [],
    local: config.enabled && live !== undefined ? live.target : { state: "unknown" },
    traffic: {
      ...(inspected && { requests }),
      connections,
      active,
      bytesIn,
      bytesOut,
      ...(lastAt !== undefined && { lastAt }),
    },
  };
}

function stateOf({ config, live, relay }: ShareView): ShareState {
  if (!config.enabled || live === undefined) return { state: "stopped" };
  if (live.refusal?.code === "local") return refused(live.refusal.code, live.refusal.message);
  switch (relay.state) {
    case "refused":
      return refused("relay", relay.reason);
    case "reconnecting":
      return relay;
    case "off":
    case "connecting":
      return { state: "connecting" };
    case "live":
      if (live.refusal !== undefined) return refused(live.refusal.code, live.refusal.message);
      if (live.addresses.length === 0) return { state: "connecting" };
      return live.target.state === "down"
        ? { state: "target-down", reason: live.target.error }
        : { state: "live" };
  }
}

function refused(code: string, reason: string): ShareState {
  return { state: "refused", code, reason };
}

/** @param ring undefined: the share has kept nothing so far. */
export function windowOf(
  ring: RequestRing | undefined,
  { text, offset, limit }: CallParams<"share.requests">,
): StreamEvent<"share.requests"> {
  const wanted = text?.toLowerCase() ?? "";
  const matching = (ring?.requests ?? []).filter((kept) => wanted === "" || matches(kept, wanted));
  const total = matching.length;
  const from = Math.min(offset, Math.max(0, total - 1));
  const newestFirst = matching.slice(Math.max(0, total - from - limit), total - from).reverse();
  return { rows: newestFirst.map(describeRow), total, offset: from };
}

function matches({ request, response }: KeptRequest, wanted: string): boolean {
  return `${request.method} ${request.target} ${response?.status ?? ""}`.toLowerCase().includes(wanted);
}

function describeRow(kept: KeptRequest): RequestRow {
  const { id, startedAt, request, state, failure, response, upgrade, firstByteMs, totalMs, remote } = kept;
  return {
    id,
    startedAt,
    method: request.method,
    target: request.target,
    state,
    ...(failure !== undefined && { failure }),
    ...(response !== undefined && { status: response.status }),
    ...(upgrade !== undefined && { upgrade }),
    requestBytes: kept.requestBody.bytes,
    responseBytes: kept.responseBody.bytes,
    ...(firstByteMs !== undefined && { firstByteMs }),
    ...(totalMs !== undefined && { totalMs }),
    remote,
    ...(kept.replayOf !== undefined && { replayOf: kept.replayOf }),
  };
}

/** @param reveal show credentials. */
export function describeRequest(kept: KeptRequest, reveal: boolean): RequestDetail {
  const { request, response } = kept;
  const noReplay = whyNoReplay(kept);
  return {
    ...describeRow(kept),
    version: `HTTP/1.${request.minorVersion}`,
    request: {
      headers: describeHeaders(request.headers, reveal),
      body: describeBody(kept.requestBody, request.headers),
    },
    ...(response !== undefined && {
      response: {
        reason: response.reason,
        headers: describeHeaders(response.headers, reveal),
        body: describeBody(kept.responseBody, response.headers),
      },
    }),
    ...(noReplay !== undefined && { noReplay }),
  };
}

/** Headers by which somebody proves who they are, and those that hand such a proof out. */
const CREDENTIALS =
  /^(?:(?:proxy-)?authorization|cookie|set-cookie|.*(?:api-?key|token|secret|password|signature))$/i;

function describeHeaders(headers: HttpHeaders, reveal: boolean) {
  return headers.map(({ name, value }) =>
    CREDENTIALS.test(name) ? { name, value: reveal ? value : MASK, secret: true } : { name, value },
  );
}

/** Of a body that came compressed, decompressed. */
const MAX_DECODED_BYTES = 524_288;
/** Of a body that is no text. */
const MAX_HEX_BYTES = 512;

function describeBody(kept: KeptBody, headers: HttpHeaders): KeptBodyView {
  const content = kept.content();
  const decoded = kept.isCut ? undefined : decompressed(content, headerValue(headers, "content-encoding"));
  const text = textOf(decoded ?? content);
  return {
    bytes: kept.bytes,
    cut: kept.isCut,
    kept: kept.kept,
    ...(text === undefined ? { hex: content.toString("hex", 0, MAX_HEX_BYTES) } : { text }),
    ...(decoded !== undefined && { decoded: true }),
  };
}

function decompressed(content: Buffer, encoding: string | undefined): Buffer | undefined {
  const limit = { maxOutputLength: MAX_DECODED_BYTES };
  try {
    switch (encoding?.toLowerCase()) {
      case "gzip":
      case "x-gzip":
        return gunzipSync(content, limit);
      case "deflate":
        return inflateSync(content, limit);
      case "br":
        return brotliDecompressSync(content, limit);
      default:
        return undefined;
    }
  } catch {
    return undefined; // Too long, or not what it says it is: it is shown as it came.
  }
}

/** Undefined for bytes that are no text. A character that the cap has cut in two is left out. */
function textOf(content: Buffer): string | undefined {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  try {
    const text = decoder.decode(content, { stream: true });
    return /[\x00-\x08\x0e-\x1a\x1c-\x1f]/.test(text) ? undefined : text;
  } catch {
    return undefined;
  }
}
