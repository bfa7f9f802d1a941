import {
  type Attributes,
  type Context,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  trace,
  TraceFlags,
  type Tracer,
} from "@opentelemetry/api";
import { parseTraceParent } from "@opentelemetry/core";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BatchSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";
import { type PublicAddress, shownAddress } from "../names/registry.ts";
import type { RelayObserver, RequestTrace, ServedEnd, ServedStart } from "../observer.ts";
import { observing } from "../observers.ts";
import { VERSION } from "../version.ts";
import { ReportingExporter } from "./reporting-exporter.ts";
import type { RelayTracer } from "./tracer.ts";

/** Spans that wait to be sent; more are dropped, for a collector that is slow or gone costs no memory and no traffic. */
const MAX_WAITING_SPANS = 4_096;
const BATCH_SPANS = 512;
const SEND_EVERY_MS = 2_000;
/** All that can wait is sent at once when the relay stops, beside the batch that is under way. */
const MAX_SENDING = MAX_WAITING_SPANS / BATCH_SPANS + 1;
/** For one batch with its repetitions; also how long a relay that stops waits for its last spans. */
const SEND_TIMEOUT_MS = 3_000;
/** Of a text in a span, such as a path: the public chooses it. */
const MAX_TEXT = 1_024;

/** What a method may be as a span's name: whatever else is asked for is `_OTHER` (OpenTelemetry's HTTP conventions). */
const METHODS = new Set([
  "GET",
  "HEAD",
  "POST",
  "PUT",
  "DELETE",
  "OPTIONS",
  "PATCH",
  "TRACE",
  "CONNECT",
  "QUERY",
]);

interface TracedClient {
  readonly identity: string;
  readonly span: Span;
  readonly context: Context;
}

/** Spans of clients, shares and requests, sent to a collector by OTLP over HTTP as JSON. */
export class OtlpTracer implements RelayTracer, AsyncDisposable {
  readonly observer: RelayObserver;
  readonly #provider: TracerProvider;
  readonly #tracer: Tracer;
  readonly #clients = new Map<string, TracedClient>();

  /**
   * @param endpoint of the collector, as OTEL_EXPORTER_OTLP_ENDPOINT has it: `/v1/traces` is added where it is not there.
   * @param onProblem told in one sentence when spans can't be delivered any more.
   */
  constructor(endpoint: string, onProblem: (sentence: string) => void) {
    const url = tracesUrl(endpoint);
    const exporter = new ReportingExporter(
      new OTLPTraceExporter({ url, timeoutMillis: SEND_TIMEOUT_MS, concurrencyLimit: MAX_SENDING }),
      (why) => onProblem(`${url} does not take spans: ${why}`),
    );
    this.#provider = new TracerProvider({
      resource: resourceFromAttributes({ "service.name": "showoff", "service.version": VERSION }),
      spanLimits: { attributeValueLengthLimit: MAX_TEXT },
      spanProcessors: [
        new BatchSpanProcessor({
          exporter,
          maxQueueSize: MAX_WAITING_SPANS,
          maxExportBatchSize: BATCH_SPANS,
          scheduledDelayMillis: SEND_EVERY_MS,
          exportTimeoutMillis: SEND_TIMEOUT_MS,
        }),
      ],
    });
    this.#tracer = this.#provider.getTracer("showoff", VERSION);
    this.observer = observing({
      clientConnected: (client, identity, source) => this.#connected(client, identity, source),
      clientDisconnected: (client, reason) => this.#disconnected(client, reason),
      shared: (client, address) => this.#shared(client, address),
      requestEnded: (served) => served.trace?.end(served),
    });
  }

  begin(start: ServedStart, traceparent: string | undefined): RequestTrace {
    const parent = traceparent === undefined ? null : parseTraceParent(traceparent);
    const context =
      parent === null ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, { ...parent, isRemote: true });
    const attributes = attributesOf(start);
    const span = this.#tracer.startSpan(nameOf(start), { kind: SpanKind.SERVER, attributes }, context);
    const { traceId, spanId, traceFlags } = span.spanContext();
    const sampled = (traceFlags & TraceFlags.SAMPLED) === 0 ? "00" : "01";
    return {
      traceId,
      traceparent: `00-${traceId}-${spanId}-${sampled}`,
      continued: parent !== null,
      end: (served) => this.#end(span, served),
    };
  }

  /** Sends what waits, for a moment. */
  async [Symbol.asyncDispose](): Promise<void> {
    let late: NodeJS.Timeout | undefined;
    const enough = new Promise<void>((resolve) => (late = setTimeout(resolve, SEND_TIMEOUT_MS)));
    await Promise.race([this.#provider.shutdown().catch(() => {}), enough]);
    clearTimeout(late);
  }

  #connected(client: string, identity: string, source: string): void {
    const attributes: Attributes = {
      "showoff.client": client,
      "showoff.identity": identity,
      "client.address": source,
    };
    const span = this.#tracer.startSpan(
      "client session",
      { kind: SpanKind.SERVER, attributes },
      ROOT_CONTEXT,
    );
    this.#clients.set(client, { identity, span, context: trace.setSpan(ROOT_CONTEXT, span) });
  }

  #disconnected(client: string, reason: string): void {
    const known = this.#clients.get(client);
    if (known === undefined) return;
    this.#clients.delete(client);
    known.span.setAttribute("showoff.reason", reason);
    known.span.end();
  }

  #shared(client: string, address: PublicAddress): void {
    const known = this.#clients.get(client);
    if (known === undefined) return;
    const share = shownAddress(address);
    const attributes: Attributes = {
      "showoff.client": client,
      "showoff.identity": known.identity,
      "showoff.share": share,
    };
    this.#tracer.startSpan(`share ${share}`, { attributes }, known.context).end();
  }

  #end(span: Span, served: ServedEnd): void {
    span.setAttributes({
      "showoff.bytes_in": served.bytesIn,
      "showoff.bytes_out": served.bytesOut,
      ...(served.client !== undefined && { "showoff.client": served.client }),
      ...(served.identity !== undefined && { "showoff.identity": served.identity }),
      ...(served.status > 0 && { "http.response.status_code": served.status }),
      ...(served.error !== undefined && { "error.type": served.error }),
      ...(served.limit !== undefined && { "showoff.limit": served.limit }),
    });
    // The public's own mistakes are no failures of a server (OpenTelemetry's HTTP conventions).
    const isFailed =
      served.method === undefined
        ? served.error !== undefined && served.error !== "cancelled"
        : served.status >= 500;
    if (isFailed) span.setStatus({ code: SpanStatusCode.ERROR });
    span.end();
  }
}

function tracesUrl(endpoint: string): string {
  const url = new URL(endpoint);
  if (!url.pathname.endsWith("/v1/traces")) url.pathname = `${url.pathname.replace(/\/$/, "")}/v1/traces`;
  return url.href;
}

/** Of few different ones: names that nobody holds are left out, for anyone may ask for them. */
function nameOf({ method, address }: ServedStart): string {
  if (method === undefined) return address === undefined ? "tcp" : shownAddress(address);
  return METHODS.has(method) ? method : "_OTHER";
}

function attributesOf({ address, source, method, target }: ServedStart): Attributes {
  return {
    "client.address": source,
    ...(address !== undefined && { "showoff.share": shownAddress(address) }),
    ...(method === undefined
      ? { "network.transport": "tcp" }
      : { "http.request.method": METHODS.has(method) ? method : "_OTHER" }),
    // What follows a question mark is often a secret.
    ...(target !== undefined && { "url.path": target.split("?", 1)[0]! }),
  };
}
