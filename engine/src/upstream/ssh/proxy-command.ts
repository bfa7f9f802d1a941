/** ProxyCommand (ssh_config(5)): a program whose standard input and output are the way to the server. */
import { spawn, type ChildProcessByStdio } from "node:child_process";
import { Duplex, type Readable, type Writable } from "node:stream";
import { DialError } from "../../errors.ts";
import type { SshHost } from "./host.ts";

/** What is kept of the program's standard error, for the sentence when it fails. */
const maxErrorText = 2048;
/** From the end of the program's output to that of the program, before the one is told without the other. */
const waitForEndMs = 200;
/** From the polite end of the program to the certain one. */
const killAfterMs = 500;

const running = new Set<number>();

/** The process groups of the programs that run now. */
export const proxyCommandGroups: ReadonlySet<number> = running;

/** Starts it, in a process group of its own that ends with the stream. */
export function startProxyCommand(command: string, host: SshHost): ProxyCommandStream {
  return new ProxyCommandStream(expandTokens(command, host));
}

/**
 * ssh_config(5), TOKENS: %h, %n, %p, %r and %%. The command goes to a shell, and hosts and users come from links and other people's
 * files too: a value that a shell, or the program as an option, would take for more than a word is refused.
 * @throws {DialError} `unsupported`, scope upstream.
 */
export function expandTokens(command: string, host: SshHost): string {
  const refused = (why: string): DialError =>
    new DialError("unsupported", `ProxyCommand "${command}": ${why}`, { scope: "upstream" });
  const word = (token: string, value: string): string => {
    if (PLAIN_WORD.test(value)) return value;
    throw refused(`the value of ${token} would mean more than itself to a shell: ${JSON.stringify(value)}`);
  };
  return command.replace(/%(.?)/g, (all, token: string) => {
    switch (token) {
      case "%":
        return "%";
      case "h":
        return word(all, host.server.host);
      case "n":
        return word(all, host.alias);
      case "p":
        return String(host.server.port);
      case "r":
        return word(all, host.user);
      default:
        throw refused(`${all} is not a token it can have`);
    }
  });
}

/** What neither a shell nor a program's reading of its options takes apart; a backslash only before a letter, as in `DOMAIN\user`. */
const PLAIN_WORD = /^(?![-~])(?:[\p{L}\p{N}._@%+:,=/~-]|\\(?=[\p{L}\p{N}]))+$/u;

export class ProxyCommandStream extends Duplex {
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #command: string;
  #errorText = "";
  #ending: string | undefined;
  #outputIsOver = false;

  constructor(command: string) {
    super({ allowHalfOpen: true });
    this.#command = command;
    // `exec`, as OpenSSH has it, so that a simple command is the process itself.
    this.#child = spawn("sh", ["-c", `exec ${command}`], { stdio: ["pipe", "pipe", "pipe"], detached: true });
    const { pid, stdin, stdout, stderr } = this.#child;
    if (pid !== undefined) running.add(pid);
    this.#child.on("error", (error) => this.destroy(error));
    this.#child.on("exit", (code, signal) => {
      if (pid !== undefined) running.delete(pid);
      this.#ending = signal === null ? `exit status ${code ?? 0}` : signal;
    });
    // When it ends early the pipe breaks; the end of its output tells us, and why is on standard error.
    stdin.on("error", () => undefined);
    stdout.on("error", (error) => this.destroy(error));
    stdout.on("data", (chunk: Buffer) => {
      if (!this.push(chunk)) stdout.pause();
    });
    stdout.on("end", () => this.#outputEnded());
    stdout.pause();
    stderr.on("error", () => undefined);
    stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#errorText = (this.#errorText + text).slice(-maxErrorText);
    });
  }

  /** Mostly the program ends with its output: waited for, so that its status and last words can be told. */
  #outputEnded(): void {
    this.#outputIsOver = true;
    const settle = (): void => {
      clearTimeout(timer);
      this.#child.removeListener("close", settle);
      if (!this.destroyed) this.push(null);
    };
    const timer = setTimeout(settle, waitForEndMs);
    this.#child.once("close", settle);
    this.once("close", () => clearTimeout(timer));
  }

  /** What became of the program, for people. */
  describe(): string {
    const present = this.#outputIsOver ? "closed its output" : "is running";
    const ending = this.#ending === undefined ? present : `ended (${this.#ending})`;
    const lastLine = this.#errorText.trim().split("\n").at(-1) ?? "";
    return `ProxyCommand "${this.#command}" ${ending}${lastLine === "" ? "" : `: ${lastLine}`}`;
  }

  override _read(): void {
    this.#child.stdout.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    if (this.#child.stdin.write(chunk)) done();
    else this.#whenDrained(done);
  }

  override _final(done: () => void): void {
    this.#child.stdin.end();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    if (this.#ending === undefined && this.#child.pid !== undefined) {
      this.#killGroup("SIGTERM");
      const certain = setTimeout(() => this.#killGroup("SIGKILL"), killAfterMs);
      this.#child.once("exit", () => {
        clearTimeout(certain);
        // What it started and left behind has nobody else to end it.
        this.#killGroup("SIGKILL");
      });
    }
    this.#child.stdin.destroy();
    this.#child.stdout.destroy();
    done(error);
  }

  #whenDrained(done: () => void): void {
    const { stdin } = this.#child;
    const settle = (): void => {
      stdin.removeListener("drain", settle);
      stdin.removeListener("close", settle);
      done();
    };
    stdin.once("drain", settle);
    stdin.once("close", settle);
  }

  #killGroup(signal: NodeJS.Signals): void {
    try {
      process.kill(-this.#child.pid!, signal);
    } catch {
      // All of it has ended.
    }
  }
}
