import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { type Endpoint, parseEndpoint } from "../endpoint.ts";
import type { DialError } from "../errors.ts";
import { type Answer, answerBytes, badRequest, failureAnswer, PORT_0 } from "./http-answers.ts";
import { endWith, sourceOf } from "./listener.ts";
import type { ConnectRequest } from "./request.ts";

const ESTABLISHED = Buffer.from("HTTP/1.1 200 Connection established\r\n\r\n");

/** Reads the target of a CONNECT (RFC 9112 §3.2.3). Returns what to answer if it is none. */
export function readTunnelTarget(url: string): Endpoint | Answer {
  try {
    const target = parseEndpoint(url);
    return target.port === 0 ? PORT_0 : target;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return badRequest(`the target of CONNECT is wrong: ${error.message}`);
  }
}

/** A CONNECT (RFC 9110 §9.3.6). */
export class TunnelRequest implements ConnectRequest {
  readonly inbound = "http";
  readonly target: Endpoint;
  readonly source: Endpoint;
  readonly #socket: Socket;
  readonly #answered: () => void;
  #phase: "unanswered" | "answered" | "gone" = "unanswered";
  #cancel: (() => void) | undefined;

  constructor(socket: Socket, target: Endpoint, answered: () => void) {
    this.#socket = socket;
    this.target = target;
    this.source = sourceOf(socket);
    this.#answered = answered;
    socket.on("close", this.#onClose);
  }

  onCancel(callback: () => void): void {
    if (this.#phase === "gone") process.nextTick(callback);
    else this.#cancel = callback;
  }

  accept(): Duplex {
    if (this.#answer()) this.#socket.write(ESTABLISHED);
    return this.#socket;
  }

  reject(error: DialError): void {
    if (this.#answer()) endWith(this.#socket, answerBytes(failureAnswer(error)));
  }

  #answer(): boolean {
    if (this.#phase === "gone") return false;
    if (this.#phase === "answered") throw new Error("a connect request was answered twice");
    this.#phase = "answered";
    this.#socket.off("close", this.#onClose);
    this.#answered();
    return true;
  }

  readonly #onClose = (): void => {
    this.#phase = "gone";
    this.#answered();
    this.#cancel?.();
  };
}
