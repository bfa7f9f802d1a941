import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { bodyOf } from "./relay.ts";

export interface ReceivedSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string | undefined;
  readonly name: string;
  readonly kind: number;
  readonly ms: number;
  /** 2: an error. */
  readonly status: number;
  readonly attributes: Readonly<Record<string, string | number>>;
}

export interface OtlpReceiver extends AsyncDisposable {
  readonly endpoint: string;
  readonly spans: readonly ReceivedSpan[];
  /** Path and content type of what came, one each. */
  readonly asked: readonly string[];
  /** Of those that sent. */
  readonly services: ReadonlySet<string>;
  /** True: it takes requests and answers none. */
  silent: boolean;
}

interface Value {
  readonly stringValue?: string;
  readonly intValue?: string | number;
  readonly doubleValue?: number;
}
type Attributes = readonly { readonly key: string; readonly value: Value }[];

/** OTLP over HTTP as JSON (opentelemetry/proto/collector/trace/v1), as far as traces of a relay need it. */
interface ExportRequest {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: Attributes };
    readonly scopeSpans: readonly { readonly spans: readonly SentSpan[] }[];
  }[];
}

interface SentSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly kind: number;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly status: { readonly code?: number };
  readonly attributes: Attributes;
}

/** A collector that remembers the spans it is sent. */
export async function startOtlpReceiver(): Promise<OtlpReceiver> {
  const spans: ReceivedSpan[] = [];
  const asked: string[] = [];
  const services = new Set<string>();
  const server = createServer((request, response) => {
    void (async () => {
      const body = await bodyOf(request);
      asked.push(`${request.method} ${request.url} ${request.headers["content-type"]}`);
      if (receiver.silent) return;
      const { resourceSpans } = JSON.parse(body.toString()) as ExportRequest;
      for (const { resource, scopeSpans } of resourceSpans) {
        services.add(String(plain(resource.attributes)["service.name"]));
        for (const scope of scopeSpans) spans.push(...scope.spans.map(received));
      }
      response.setHeader("Content-Type", "application/json");
      response.end("{}");
    })();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const receiver: OtlpReceiver = {
    endpoint: `http://127.0.0.1:${port}`,
    spans,
    asked,
    services,
    silent: false,
    [Symbol.asyncDispose]: async () => {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
  return receiver;
}

function received(span: SentSpan): ReceivedSpan {
  return {
    traceId: span.traceId,
    spanId: span.spanId,
    parentSpanId: span.parentSpanId === "" ? undefined : span.parentSpanId,
    name: span.name,
    kind: span.kind,
    ms: Number(BigInt(span.endTimeUnixNano) - BigInt(span.startTimeUnixNano)) / 1e6,
    status: span.status.code ?? 0,
    attributes: plain(span.attributes),
  };
}

function plain(attributes: Attributes): Record<string, string | number> {
  return Object.fromEntries(
    attributes.map(({ key, value }) => [
      key,
      value.stringValue ?? value.doubleValue ?? Number(value.intValue),
    ]),
  );
}
