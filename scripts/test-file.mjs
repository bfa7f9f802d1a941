// Runs one test file for scripts/test.mjs, and counts what happens in it.
import { spawn } from "node:child_process";

/** A file that takes longer is ended. */
const FILE_TIMEOUT_MS = 10 * 60_000;
/** A test that takes longer fails, unless it says that it may. */
const TEST_TIMEOUT_MS = 2 * 60_000;
/** After its last test a file's process has this long to end by itself; what keeps it alive is a leak. */
const LEAK_TIMEOUT_MS = 15_000;
/** What a file prints is kept up to here, and shown when it fails. */
const MAX_OUTPUT = 256 * 1024;

const FLAGS = [
  "--test-reporter=./scripts/test-events.mjs",
  `--test-timeout=${TEST_TIMEOUT_MS}`,
  ...(process.env.SOCKEYE_FUZZ_MS ? ["--import=./scripts/fuzz.mjs"] : []),
];

const running = new Set();

/**
 * Runs one test file in a process of its own, to its end, whatever end that is.
 * @returns its counts, its failures, and what it printed. Never rejects.
 */
export function runFile(file, { leakTimeoutMs = LEAK_TIMEOUT_MS, fileTimeoutMs = FILE_TIMEOUT_MS } = {}) {
  return new Promise((resolve) => {
    const started = performance.now();
    const result = { passed: 0, failures: [], skips: [], output: "", seconds: 0 };
    const tally = new Tally(result);
    const child = spawn(process.execPath, [...FLAGS, file], {
      stdio: ["ignore", "pipe", "pipe", "ipc"],
      // A group of its own, so that a peer program it started ends with it.
      detached: process.platform !== "win32",
    });
    running.add(child);

    const stop = (reason) => {
      tally.failFile(reason);
      end(child);
    };
    const timeout = setTimeout(() => {
      stop(`not at its end after ${fileTimeoutMs / 1000} s${tally.unfinished()}`);
    }, fileTimeoutMs);
    let leak;
    child.on("message", (event) => {
      tally.take(event);
      clearTimeout(leak);
      if (!tally.isIdle()) return;
      leak = setTimeout(() => {
        stop(`its tests are done, but something left open kept it alive for ${leakTimeoutMs / 1000} s`);
      }, leakTimeoutMs);
    });
    const collect = (chunk) => {
      if (result.output.length < MAX_OUTPUT) result.output += chunk;
    };
    child.stdout.setEncoding("utf8").on("data", collect);
    child.stderr.setEncoding("utf8").on("data", collect);
    child.on("error", (error) => tally.failFile(error.message));
    // Not "close": a grandchild that holds the pipe must not hold the run.
    child.on("exit", (code, signal) => {
      clearTimeout(timeout);
      clearTimeout(leak);
      // What was written and sent before the exit is still on its way.
      setTimeout(() => {
        end(child);
        running.delete(child);
        child.stdout.destroy();
        child.stderr.destroy();
        if (result.failures.length === 0) tally.judgeExit(code, signal);
        result.seconds = (performance.now() - started) / 1000;
        resolve(result);
      }, 50);
    });
  });
}

/** Ends every file that is running, and what it started. */
export function endRunningFiles() {
  for (const child of running) end(child);
}

/** Ends a file's process and what it started. */
function end(child) {
  try {
    if (process.platform === "win32") child.kill("SIGKILL");
    else process.kill(-child.pid, "SIGKILL");
  } catch {
    // It, and all of its group, is gone already.
  }
}

/** Counts one file's tests. A test that has subtests, like a suite, is counted only when it fails for itself. */
class Tally {
  #result;
  #unfinished = [];
  /** The nesting of the last reported test: children are reported just before their parent. */
  #lastNesting = 0;

  constructor(result) {
    this.#result = result;
  }

  take(event) {
    switch (event.type) {
      case "test:dequeue":
        this.#unfinished.push(event.name);
        break;
      case "test:complete":
        this.#unfinished.splice(this.#unfinished.indexOf(event.name), 1);
        break;
      case "test:pass":
      case "test:fail":
        this.#count(event);
        this.#lastNesting = event.nesting;
        break;
    }
  }

  #count(event) {
    const isParent = event.isSuite || this.#lastNesting > event.nesting;
    if (event.type === "test:fail") {
      // A `todo` that fails is no failure to node:test.
      if (event.todo !== undefined && event.todo !== false) this.#skip(event, event.todo, "todo");
      else if (event.failureType !== "subtestsFailed") this.#result.failures.push(event);
    } else if (event.skip !== undefined && event.skip !== false)
      this.#skip(event, event.skip, "no reason given");
    else if (!isParent) this.#result.passed += 1;
  }

  #skip(event, reason, otherwise) {
    this.#result.skips.push(
      `${event.name}: ${typeof reason === "string" && reason !== "" ? reason : otherwise}`,
    );
  }

  failFile(reason) {
    this.#result.failures.push({ name: "(the file itself)", error: reason, place: "" });
  }

  /** An end that looks well is none when tests were still to come. */
  judgeExit(code, signal) {
    const how = signal ?? `status ${code}`;
    if (code !== 0 || this.#unfinished.length > 0) {
      this.failFile(`its process ended with ${how}${this.unfinished()}, without a failed test`);
    } else if (this.#result.passed + this.#result.skips.length === 0) this.failFile("no test ran in it");
  }

  isIdle() {
    return this.#unfinished.length === 0;
  }

  unfinished() {
    return this.#unfinished.length === 0 ? "" : ` in "${this.#unfinished.join('" > "')}"`;
  }
}
