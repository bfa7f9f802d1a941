import { closeSync } from "node:fs";
import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { Channel } from "./handover.ts";
import { loadHandover } from "./handover.ts";
import {
  decodeFrame,
  encodeRequest,
  PROTOCOL_VERSION,
  type AddressFamily,
  type DnsWay,
  type HelperAnswer,
  type HelperRequest,
  type HelperVerb,
  type RefusalCode,
  type SocketKind,
} from "./protocol.ts";
import { connectPipe, HELPER_PIPE, PipeChannel } from "./windows-pipe.ts";

/** Where a helper that was started by the system listens. */
export const HELPER_SOCKET = {
  darwin: "/var/run/sockeye/helper.sock",
  win32: HELPER_PIPE,
  other: "/run/sockeye/helper.sock",
}[process.platform === "darwin" || process.platform === "win32" ? process.platform : "other"];

/** Setting name servers runs a program of the system's, which is given 5 seconds for each of three calls. */
const ANSWER_MS = 20_000;
/** The helper turns away whoever may not ask, one after the other, before it comes to us. */
const QUEUE_MS = 5000;
const QUEUE_PAUSE_MS = 20;

/** `missing`: no helper is there. `closed`: it went away. `timeout`: it did not answer. The others are its own words. */
export type HelperErrorCode = RefusalCode | "missing" | "closed" | "timeout";

/** `message` is a plain sentence for people; `code` is for programs. */
export class HelperError extends Error {
  override readonly name = "HelperError";
  readonly code: HelperErrorCode;
  /** The system's error number, where there is one. */
  readonly errno: number;

  constructor(
    code: HelperErrorCode,
    message: string,
    options: { readonly cause?: unknown; readonly errno?: number } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.errno = options.errno ?? 0;
  }
}

export type OpenOptions = Omit<HelperRequest & { readonly verb: "open" }, "verb">;
export type CaptureOptions = Omit<HelperRequest & { readonly verb: "capture" }, "verb">;
export type HelperStatus = Omit<HelperAnswer & { readonly verb: "status" }, "verb">;

/** The device, with its descriptor, which is the caller's to close: with it, the device is gone. */
export interface OpenedDevice {
  /** -1 on Windows, where the device lives as long as the session, and the helper carries its packets. */
  readonly descriptor: number;
  readonly name: string;
  readonly index: number;
  readonly mtu: number;
  readonly vnetHeader: boolean;
}

interface Waiting {
  readonly id: number;
  readonly verb: HelperVerb;
  readonly resolve: (granted: Granted) => void;
  readonly reject: (error: HelperError) => void;
  readonly deadline: NodeJS.Timeout;
}

interface Granted {
  readonly answer: HelperAnswer;
  readonly descriptors: readonly number[];
}

/**
 * One session with the privileged helper. When it ends, however it ends, the helper undoes what was asked of it, all but a
 * kill switch.
 */
export class HelperClient {
  readonly #channel: Channel;
  readonly #closeListeners = new Set<(error: HelperError) => void>();
  /** Came with the answer that is waited for. */
  readonly #descriptors: number[] = [];
  /** One request at a time, so that descriptors are those of its answer. */
  #waiting: Waiting | undefined;
  /** Ends when the requests before it are answered. */
  #turn: Promise<unknown> = Promise.resolve();
  #lastId = 0;
  #ended: HelperError | undefined;
  #build = "";

  private constructor(
    open: (onFrame: (frame: Buffer | undefined, descriptors: readonly number[]) => void) => Channel,
  ) {
    this.#channel = open((frame, descriptors) => {
      this.#descriptors.push(...descriptors);
      if (frame === undefined) this.#end(new HelperError("closed", "the privileged helper went away"));
      else if (this.#ended) this.#closeStray();
      else this.#onFrame(frame);
    });
  }

  /**
   * Connects to a listening helper and agrees on the protocol.
   * @throws {HelperError} `missing`, `forbidden`, `busy`, `version`, …
   */
  static async connect({ path = HELPER_SOCKET }: { readonly path?: string } = {}): Promise<HelperClient> {
    try {
      if (process.platform === "win32") return await HelperClient.takePipe(await connectPipe(path));
      return await HelperClient.take(await connectInTurn(path));
    } catch (cause) {
      throw cause instanceof HelperError ? cause : cannotConnect(path, cause);
    }
  }

  /**
   * Speaks over a connected Unix socket, which it owns from here on, with a helper at the other end.
   * @throws {HelperError}
   */
  static async take(socket: number): Promise<HelperClient> {
    const { Channel } = loadHandover();
    return HelperClient.#greet(new HelperClient((onFrame) => new Channel(socket, onFrame)));
  }

  /** Speaks over a connected named pipe. @throws {HelperError} */
  static async takePipe(socket: Socket): Promise<HelperClient> {
    return HelperClient.#greet(new HelperClient((onFrame) => new PipeChannel(socket, onFrame)));
  }

  static async #greet(client: HelperClient): Promise<HelperClient> {
    try {
      const { answer } = await client.#ask({ verb: "hello", version: PROTOCOL_VERSION });
      client.#build = answer.verb === "hello" ? answer.build : "";
      return client;
    } catch (error) {
      client.close();
      throw error;
    }
  }

  /** The helper's version, as its package names it. */
  get build(): string {
    return this.#build;
  }

  /** Creates the TUN device. A session has one at a time: release() comes before another. @throws {HelperError} */
  async open(options: OpenOptions): Promise<OpenedDevice> {
    const { answer, descriptors } = await this.#ask({ ...options, verb: "open" });
    if (answer.verb !== "open") throw outOfStep(answer.verb);
    const [descriptor = process.platform === "win32" ? -1 : undefined] = descriptors;
    if (descriptor === undefined) {
      const error = new HelperError("system", "this process has no descriptor left for the TUN device");
      this.#end(error);
      throw error;
    }
    const { name, index, mtu, vnetHeader } = answer;
    return { descriptor, name, index, mtu, vnetHeader };
  }

  /** Replaces what is captured; nothing, for two empty lists. @throws {HelperError} */
  async capture(options: CaptureOptions): Promise<void> {
    await this.#ask({ ...options, verb: "capture" });
  }

  /** Points the machine's programs at name servers; without servers, back at its own. @throws {HelperError} */
  async dns(servers: readonly string[], domains: readonly string[] = []): Promise<DnsWay> {
    const { answer } = await this.#ask({ verb: "dns", servers, domains });
    if (answer.verb !== "dns") throw outOfStep(answer.verb);
    return answer.way;
  }

  /**
   * Unconnected sockets whose traffic is never captured; those for datagrams are bound to a port. They are the caller's to
   * close, and fewer than asked for where this process has no room for more descriptors.
   * @throws {HelperError}
   */
  async sockets(family: AddressFamily, kind: SocketKind, count: number): Promise<readonly number[]> {
    return (await this.#ask({ verb: "sockets", family, kind, count })).descriptors;
  }

  /**
   * Undoes everything in order.
   * @returns what could not be undone, in sentences; empty when all was.
   * @throws {HelperError}
   */
  async release(options: { readonly keepKillSwitch?: boolean } = {}): Promise<readonly string[]> {
    const { answer } = await this.#ask({ verb: "release", keepKillSwitch: options.keepKillSwitch ?? false });
    if (answer.verb !== "release") throw outOfStep(answer.verb);
    return answer.problems;
  }

  /** What is set now. @throws {HelperError} */
  async status(): Promise<HelperStatus> {
    const { answer } = await this.#ask({ verb: "status" });
    if (answer.verb !== "status") throw outOfStep(answer.verb);
    return answer;
  }

  /** Hears once that the session ended without close(): at once, where it has. */
  onClose(listener: (error: HelperError) => void): void {
    if (this.#ended) listener(this.#ended);
    else this.#closeListeners.add(listener);
  }

  /** Ends the session. Without release() before it, the helper undoes all but a kill switch. */
  close(): void {
    this.#closeListeners.clear();
    this.#end(new HelperError("closed", "the session with the privileged helper was closed"));
  }

  async #ask(request: HelperRequest): Promise<Granted> {
    const before = this.#turn;
    const answered = before.then(() => this.#send(request));
    this.#turn = answered.catch(() => undefined);
    return answered;
  }

  #send(request: HelperRequest): Promise<Granted> {
    if (this.#ended) return Promise.reject(this.#ended);
    const id = ++this.#lastId;
    const frame = encodeRequest(id, request);
    try {
      this.#channel.send(frame);
    } catch (cause) {
      // What it said before it went away is still to be read.
      if ((cause as { readonly code?: unknown }).code !== "EPIPE")
        this.#end(new HelperError("closed", "the privileged helper takes no request", { cause }));
    }
    return new Promise((resolve, reject) => {
      if (this.#ended) {
        reject(this.#ended);
        return;
      }
      const deadline = setTimeout(() => {
        this.#end(new HelperError("timeout", `the privileged helper did not answer "${request.verb}"`));
      }, ANSWER_MS);
      this.#waiting = { id, verb: request.verb, resolve, reject, deadline };
    });
  }

  #onFrame(frame: Buffer): void {
    let decoded;
    try {
      decoded = decodeFrame(frame);
    } catch (cause) {
      this.#end(new HelperError("malformed", "the privileged helper's answer makes no sense", { cause }));
      return;
    }
    if (decoded.kind === "refusal") {
      const error = new HelperError(decoded.code, decoded.sentence, { errno: decoded.errno });
      this.#closeStray();
      // One without a request is the helper's last word.
      if (decoded.id === this.#waiting?.id) this.#settle()?.reject(error);
      else this.#end(error);
      return;
    }
    const { answer, id } = decoded;
    if (this.#waiting?.id !== id || this.#waiting.verb !== answer.verb) {
      this.#end(outOfStep(answer.verb));
      return;
    }
    this.#settle()?.resolve({ answer, descriptors: this.#descriptors.splice(0) });
  }

  #settle(): Waiting | undefined {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    clearTimeout(waiting?.deadline);
    return waiting;
  }

  #end(error: HelperError): void {
    this.#closeStray();
    if (this.#ended) return;
    this.#ended = error;
    this.#settle()?.reject(error);
    this.#channel.close();
    const listeners = [...this.#closeListeners];
    this.#closeListeners.clear();
    for (const listener of listeners) listener(error);
  }

  #closeStray(): void {
    for (const descriptor of this.#descriptors.splice(0)) closeSync(descriptor);
  }
}

function outOfStep(verb: HelperVerb): HelperError {
  return new HelperError("malformed", `the privileged helper answered "${verb}", which was not asked`);
}

/** @throws the system's error: EAGAIN where so many wait for the helper that nobody else may for QUEUE_MS. */
async function connectInTurn(path: string): Promise<number> {
  const deadline = performance.now() + QUEUE_MS;
  for (;;) {
    try {
      return loadHandover().connect(path);
    } catch (error) {
      if ((error as { readonly code?: unknown }).code !== "EAGAIN" || performance.now() > deadline)
        throw error;
      await sleep(QUEUE_PAUSE_MS);
    }
  }
}

function cannotConnect(path: string, cause: unknown): HelperError {
  const code = (cause as { readonly code?: unknown }).code;
  switch (code) {
    case "ENOENT":
    case "ECONNREFUSED":
      return new HelperError("missing", `no privileged helper listens on ${path}`, { cause });
    case "EACCES":
    case "EPERM":
      return new HelperError(
        "forbidden",
        `${path} may be used by root and by members of the group sockeye: add your user to it, and log in again`,
        { cause },
      );
    case "ETIMEDOUT":
    case "EAGAIN":
      return new HelperError("busy", "the privileged helper is busy with another client", { cause });
    default:
      return new HelperError(
        "missing",
        `${path}: ${cause instanceof Error ? cause.message : String(cause)}`,
        {
          cause,
        },
      );
  }
}
