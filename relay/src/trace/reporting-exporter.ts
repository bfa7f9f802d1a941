import type { ReadableSpan, SpanExporter } from "@opentelemetry/sdk-trace";

/** Tells when spans can't be delivered, once until they can again: the library itself keeps that for itself. */
export class ReportingExporter implements SpanExporter {
  readonly #exporter: SpanExporter;
  readonly #onProblem: (why: string) => void;
  #failing = false;

  constructor(exporter: SpanExporter, onProblem: (why: string) => void) {
    this.#exporter = exporter;
    this.#onProblem = onProblem;
  }

  export(spans: ReadableSpan[], resultCallback: Parameters<SpanExporter["export"]>[1]): void {
    this.#exporter.export(spans, (result) => {
      if (result.error !== undefined && !this.#failing) this.#onProblem(result.error.message);
      this.#failing = result.error !== undefined;
      resultCallback(result);
    });
  }

  async shutdown(): Promise<void> {
    await this.#exporter.shutdown();
  }

  async forceFlush(): Promise<void> {
    await this.#exporter.forceFlush?.();
  }
}
