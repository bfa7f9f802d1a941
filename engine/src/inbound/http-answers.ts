import { STATUS_CODES } from "node:http";
import type { DialError } from "../errors.ts";

/** An answer of the proxy's own: a status, a sentence for people, and headers beside those that every answer has. */
export interface Answer {
  readonly status: number;
  readonly sentence: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** RFC 9110 §15.5.8. */
export const PASSWORD_WANTED: Answer = {
  status: 407,
  sentence: "this proxy wants a username and password",
  headers: { "Proxy-Authenticate": 'Basic realm="Sockeye", charset="UTF-8"' },
};

/** A request that the proxy can't take as it stands. */
export function badRequest(sentence: string): Answer {
  return { status: 400, sentence };
}

/** Port 0 is nobody's; a system would take it for "any". */
export const PORT_0 = badRequest("nothing can be reached on port 0");

/** Why a dial failed, with the error type of RFC 9209 §2.3 for programs. Only the error's own sentence is told. */
export function failureAnswer(error: DialError): Answer {
  const [status, type] = statusOf(error);
  return { status, sentence: error.message, headers: { "Proxy-Status": `sockeye; error=${type}` } };
}

function statusOf(error: DialError): [number, string] {
  switch (error.code) {
    case "refused":
      return [502, "connection_refused"];
    case "unreachable":
      return [502, "destination_ip_unroutable"];
    case "dns":
      return [502, "dns_error"];
    case "tls":
      return [502, "tls_protocol_error"];
    case "auth":
      return [502, "proxy_configuration_error"];
    case "protocol":
      return [502, "http_protocol_error"];
    case "closed":
    case "cancelled":
      return [502, "connection_terminated"];
    case "host-key":
    case "unsupported":
      return [502, "destination_unavailable"];
    case "timeout":
      return [504, "connection_timeout"];
    case "limit":
      return [503, "connection_limit_reached"];
    case "blocked":
      return [403, "destination_ip_prohibited"];
    case "forbidden":
      return [403, "http_request_denied"];
    case "internal":
      return [500, "proxy_internal_error"];
  }
}

/** The answer's headers and body, flat as node:http takes them. */
export function answerParts(answer: Answer): { headers: string[]; body: Buffer } {
  const body = Buffer.from(`${answer.sentence.replaceAll(/[\0-\x1f\x7f]+/g, " ")}\n`);
  const headers = [
    "Content-Type",
    "text/plain; charset=utf-8",
    "Content-Length",
    String(body.length),
    "X-Content-Type-Options",
    "nosniff",
    ...Object.entries(answer.headers ?? {}).flat(),
  ];
  return { headers, body };
}

/** The whole answer as bytes, for a connection that HTTP has left, which ends after it. */
export function answerBytes(answer: Answer): Buffer {
  const { headers, body } = answerParts(answer);
  const head = headBytes(answer.status, STATUS_CODES[answer.status] ?? "", [
    ...headers,
    "Connection",
    "close",
  ]);
  return Buffer.concat([head, body]);
}

/** A response head. */
export function headBytes(status: number, reason: string, headers: readonly string[]): Buffer {
  let head = `HTTP/1.1 ${status} ${reason}\r\n`;
  for (let i = 0; i < headers.length; i += 2) head += `${headers[i]}: ${headers[i + 1]}\r\n`;
  return Buffer.from(`${head}\r\n`, "latin1");
}
