import { performance } from "node:perf_hooks";
import type { DialStep } from "@sockeye/engine/errors";
import type { UpstreamTestResult } from "@sockeye/engine/upstream/upstream";
import type { Prompter } from "@sockeye/engine/upstream/prompter";
import { paint } from "./output.ts";

const underWay: Record<DialStep, string> = {
  name: "resolving the name",
  tcp: "connecting",
  tls: "agreeing on TLS",
  handshake: "handshake",
  "host-key": "checking the host key",
  auth: "authenticating",
  dial: "reaching the target",
};

const passed: Record<DialStep, string> = {
  name: "name resolved",
  tcp: "connected",
  tls: "TLS agreed",
  handshake: "handshake",
  "host-key": "host key",
  auth: "authenticated",
  dial: "target reached",
};

/** Prints the steps of a test as they happen: each as it ends and, on a terminal, the one that is under way. */
export class StepLines {
  readonly #out: NodeJS.WriteStream;
  readonly #showsUnderWay: boolean;
  #printed = 0;
  #current: DialStep | undefined;
  #began = 0;

  /** @param alone nothing else, such as a log, writes to the terminal meanwhile. */
  constructor(out: NodeJS.WriteStream, alone: boolean) {
    this.#out = out;
    this.#showsUnderWay = alone && out.isTTY;
  }

  /** A step begins, so the one before it has passed. */
  begin(step: DialStep): void {
    const now = performance.now();
    if (this.#current !== undefined) this.#pass(this.#current, now - this.#began);
    this.#current = step;
    this.#began = now;
    if (this.#showsUnderWay) this.#out.write(paint(`… ${underWay[step]}`, "dim", this.#out));
  }

  /** All has ended: the steps not told yet, and why it failed. */
  end({ steps, failure }: UpstreamTestResult): void {
    for (const { step, ms } of steps.slice(this.#printed)) this.#pass(step, ms);
    if (failure === undefined) return;
    const step = failure.step === undefined ? "" : `${underWay[failure.step]}: `;
    this.#line(`${paint("✗", "red", this.#out)} ${step}${failure.message} (${failure.code})`);
  }

  /** A prompter whose questions begin on a line of their own. */
  makeWayFor(prompter: Prompter | undefined): Prompter | undefined {
    return (
      prompter && {
        ask: (prompt, signal) => {
          this.#erase();
          return prompter.ask(prompt, signal);
        },
      }
    );
  }

  #pass(step: DialStep, ms: number): void {
    this.#printed++;
    const took = paint(`${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`, "dim", this.#out);
    this.#line(`${paint("✓", "green", this.#out)} ${passed[step].padEnd(15)} ${took}`);
  }

  #line(text: string): void {
    this.#erase();
    this.#out.write(`${text}\n`);
  }

  #erase(): void {
    if (this.#showsUnderWay) this.#out.write("\r\x1b[K");
  }
}
