import type { MessagePortMain } from "electron/main";
import type { ConfigProblem } from "@sockeye/engine/control/contract";
import type { EngineProcess } from "@sockeye/renderer/desktop/contract";
import { fromEngine, type FromEngine, type ToEngine } from "./engine-messages.ts";
import { LastLines } from "./last-lines.ts";
import type { ProcessPart } from "./parts.ts";

/** How long things may take, in milliseconds. */
export interface Patience {
  /** Between two heartbeats. */
  readonly beatMs: number;
  /** From the start of the process until it runs: names of listeners and upstreams may have to be looked up. */
  readonly startMs: number;
  /** Before the first restart; twice as long before each one after it, up to the longest. */
  readonly firstRestartMs: number;
  readonly longestRestartMs: number;
  /** It may end this often within the window; once more, and it is given up. */
  readonly maxEnds: number;
  readonly windowMs: number;
  /** For flows to end when the app is quit, then for a process that was told to end at once, then for one that was killed. */
  readonly drainMs: number;
  readonly endMs: number;
}

const PATIENCE: Patience = {
  beatMs: 1_000,
  startMs: 30_000,
  firstRestartMs: 250,
  longestRestartMs: 8_000,
  maxEnds: 5,
  windowMs: 60_000,
  drainMs: 5_000,
  endMs: 2_000,
};

/** Heartbeats without an answer that make an engine a hung one. Counted, not timed: a machine that sleeps answers none. */
const MAX_UNANSWERED = 4;

export interface SupervisorOptions {
  /** Starts the process. */
  readonly fork: () => ProcessPart;
  /** What the engine is told once its code is there. The first start may differ from those after a crash. */
  readonly startMessage: (restart: boolean) => ToEngine & { readonly kind: "start" };
  readonly onState: (state: EngineProcess) => void;
  /** What is neither about its life nor its heartbeat. */
  readonly onMessage: (
    message: FromEngine & { readonly kind: "secret" },
    reply: (message: ToEngine) => void,
  ) => void;
  /** For a process that does not take SIGTERM. */
  readonly killHard: (pid: number) => void;
  readonly patience?: Partial<Patience>;
}

interface Running {
  readonly process: ProcessPart;
  /** Ends with the process. */
  readonly beat: NodeJS.Timeout;
  readonly startDeadline: NodeJS.Timeout;
  unanswered: number;
  ready: boolean;
  /** Why it was ended by us, or says that it ends. */
  verdict:
    | { readonly reason: string; readonly final: boolean; readonly problems?: ConfigProblem[] | undefined }
    | undefined;
}

/** Keeps an engine running in a process of its own: notices when it ends or hangs, starts it again, and knows when to give up. */
export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #patience: Patience;
  readonly #log = new LastLines();
  #state: EngineProcess = { state: "starting" };
  #running: Running | undefined;
  #restart: NodeJS.Timeout | undefined;
  #ends: number[] = [];
  #hasRun = false;
  #pings = 0;
  /** Resolved when a process that is to end has ended. */
  #stopping: PromiseWithResolvers<undefined> | undefined;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#patience = { ...PATIENCE, ...options.patience };
  }

  get state(): EngineProcess {
    return this.#state;
  }

  /** What the engine's processes wrote lately. */
  get log(): string {
    return this.#log.text;
  }

  start(): void {
    if (this.#running !== undefined || this.#stopping !== undefined) return;
    clearTimeout(this.#restart);
    this.#setState({ state: "starting" });
    this.#fork();
  }

  /** By a person's wish: what it did before no longer counts against it. */
  restart(): void {
    if (this.#stopping !== undefined) return;
    this.#ends = [];
    if (this.#running === undefined) this.start();
    else this.#end(this.#running, "it was started anew");
  }

  /** @returns false where no engine runs to take it. */
  tell(message: ToEngine, ports: readonly MessagePortMain[] = []): boolean {
    const running = this.#running;
    if (running?.ready !== true) return false;
    running.process.postMessage(message, [...ports]);
    return true;
  }

  /** Lets flows end for a while, then ends the process. Resolves when it has ended; further calls wait for the same. */
  stop(): Promise<unknown> {
    if (this.#stopping !== undefined) return this.#stopping.promise;
    this.#stopping = Promise.withResolvers<undefined>();
    clearTimeout(this.#restart);
    const running = this.#running;
    if (running === undefined) {
      this.#stopping.resolve(undefined);
      return this.#stopping.promise;
    }
    clearInterval(running.beat);
    if (running.ready) {
      running.process.postMessage({ kind: "stop", now: false } satisfies ToEngine);
      this.#after(this.#patience.drainMs, running, () => {
        running.process.postMessage({ kind: "stop", now: true } satisfies ToEngine);
        this.#after(this.#patience.endMs, running, () => this.#end(running, "the app quits"));
      });
    } else this.#end(running, "the app quits");
    return this.#stopping.promise;
  }

  #fork(): void {
    const process = this.#options.fork();
    const running: Running = {
      process,
      beat: setInterval(() => this.#beat(running), this.#patience.beatMs),
      startDeadline: setTimeout(() => {
        this.#end(running, `it did not start within ${this.#patience.startMs / 1000} s`);
      }, this.#patience.startMs),
      unanswered: 0,
      ready: false,
      verdict: undefined,
    };
    this.#running = running;
    for (const stream of [process.stdout, process.stderr]) this.#log.readFrom(stream);
    process.on("message", (message) => this.#receive(running, message));
    process.on("exit", (code) => this.#ended(running, code));
  }

  #receive(running: Running, message: unknown): void {
    if (this.#running !== running) return;
    const parsed = fromEngine.safeParse(message);
    if (!parsed.success) {
      this.#end(running, "it said something that it can't have meant");
      return;
    }
    // Whatever it says, it is alive.
    running.unanswered = 0;
    switch (parsed.data.kind) {
      case "loaded":
        running.process.postMessage(this.#options.startMessage(this.#hasRun));
        return;
      case "running":
        clearTimeout(running.startDeadline);
        running.ready = true;
        this.#hasRun = true;
        if (this.#stopping === undefined) this.#setState({ state: "running" });
        return;
      case "refused":
        running.verdict = { reason: parsed.data.message, final: true, problems: parsed.data.problems };
        return;
      case "pong":
        return;
      case "secret":
        this.#options.onMessage(parsed.data, (reply) => {
          if (this.#running === running) running.process.postMessage(reply);
        });
    }
  }

  #beat(running: Running): void {
    // Until it runs, its deadline is the start's: loading the code takes as long as the machine takes.
    if (!running.ready) return;
    if (running.unanswered >= MAX_UNANSWERED) {
      const seconds = (MAX_UNANSWERED * this.#patience.beatMs) / 1000;
      this.#end(running, `it did not answer for ${seconds} s`);
      return;
    }
    running.unanswered += 1;
    running.process.postMessage({ kind: "ping", id: ++this.#pings } satisfies ToEngine);
  }

  /** Ends the process; what comes of that is decided when it has ended. */
  #end(running: Running, reason: string): void {
    clearInterval(running.beat);
    running.verdict ??= { reason, final: false };
    running.process.kill();
    this.#after(this.#patience.endMs, running, () => {
      const { pid } = running.process;
      if (pid !== undefined) this.#options.killHard(pid);
    });
  }

  #ended(running: Running, code: number): void {
    clearInterval(running.beat);
    clearTimeout(running.startDeadline);
    if (this.#running !== running) return;
    this.#running = undefined;
    if (this.#stopping !== undefined) {
      this.#stopping.resolve(undefined);
      return;
    }
    const ended = { reason: `it ended with status ${code}`, final: false, problems: undefined };
    const { reason, final, problems } = running.verdict ?? ended;
    const now = Date.now();
    this.#ends = [...this.#ends.filter((at) => now - at < this.#patience.windowMs), now];
    if (final || this.#ends.length > this.#patience.maxEnds) {
      this.#setState({ state: "failed", reason, log: this.#log.text, ...(problems && { problems }) });
      return;
    }
    const attempt = this.#ends.length;
    const { firstRestartMs, longestRestartMs } = this.#patience;
    const wait = Math.min(firstRestartMs * 2 ** (attempt - 1), longestRestartMs);
    this.#setState({ state: "restarting", attempt, reason, at: now + wait });
    this.#restart = setTimeout(() => this.#fork(), wait);
  }

  #after(milliseconds: number, running: Running, act: () => void): void {
    const timer = setTimeout(() => {
      if (this.#running === running) act();
    }, milliseconds);
    timer.unref();
  }

  #setState(state: EngineProcess): void {
    this.#state = state;
    this.#options.onState(state);
  }
}
