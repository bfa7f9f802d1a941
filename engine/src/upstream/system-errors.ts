import { formatEndpoint, type Endpoint } from "../endpoint.ts";
import { DialError, type DialErrorCode } from "../errors.ts";

/** The operating system's error as a DialError. Where several addresses were tried, the one that says most. */
export function toDialError(error: unknown, target: Endpoint): DialError {
  const causes: unknown[] =
    error instanceof AggregateError && error.errors.length > 0 ? error.errors : [error];
  const codes = causes.map((cause) => dialCode(systemCode(cause)));
  const code = MOST_TELLING.find((telling) => codes.includes(telling)) ?? codes[0]!;
  const step = code === "dns" ? "name" : "tcp";
  const cause = causes[codes.indexOf(code)];
  return new DialError(code, sentence(code, target, cause), { cause, step });
}

/** A host that answered "no" says more than one that did not answer. */
const MOST_TELLING: readonly DialErrorCode[] = ["limit", "refused", "forbidden", "timeout", "unreachable"];

function systemCode(error: unknown): string {
  const code = (error as { readonly code?: unknown } | undefined)?.code;
  return typeof code === "string" ? code : "";
}

function dialCode(code: string): DialErrorCode {
  switch (code) {
    case "ECONNREFUSED":
      return "refused";
    case "ENETUNREACH":
    case "EHOSTUNREACH":
    case "EADDRNOTAVAIL":
    case "ENETDOWN":
    case "EHOSTDOWN":
    case "EAFNOSUPPORT":
    case "EINVAL": // a link-local address without its zone
      return "unreachable";
    case "ETIMEDOUT":
      return "timeout";
    case "ENOTFOUND":
      return "dns";
    case "EMFILE":
    case "ENFILE":
    case "ENOBUFS":
    case "ENOMEM":
      return "limit";
    case "EACCES":
    case "EPERM":
      return "forbidden";
    case "ECONNRESET":
    case "ECONNABORTED":
    case "EPIPE":
      return "closed";
    default:
      return code.startsWith("EAI_") ? "dns" : "internal";
  }
}

function sentence(code: DialErrorCode, target: Endpoint, cause: unknown): string {
  const where = formatEndpoint(target);
  switch (code) {
    case "refused":
      return `${where} refused the connection`;
    case "unreachable":
      return `there is no way to ${where} (${systemCode(cause)})`;
    case "timeout":
      return `${where} did not answer`;
    case "dns":
      return `${target.host} does not resolve (${systemCode(cause)})`;
    case "limit":
      return `the system has no more descriptors or memory for a connection to ${where} (${systemCode(cause)})`;
    case "forbidden":
      return `the system does not allow a connection to ${where} (${systemCode(cause)})`;
    case "closed":
      return `${where} closed the connection while it was being made`;
    default:
      return `${where}: ${cause instanceof Error ? cause.message : String(cause)}`;
  }
}
