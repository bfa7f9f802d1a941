/** Why a server did not open a channel (RFC 4254 §5.1), in our codes. */
import { formatEndpoint, type Endpoint } from "../../endpoint.ts";
import { DialError, type DialErrorCode } from "../../errors.ts";

const reasonAdministrativelyProhibited = 1;
const reasonConnectFailed = 2;
const reasonUnknownChannelType = 3;
const reasonResourceShortage = 4;

/** @param error what ssh2 gave: an Error with `reason`, the number of RFC 4254, and the description in its message. */
export function channelError(error: unknown, target: Endpoint, server: Endpoint): DialError {
  if (error instanceof DialError) return error;
  const { reason, message } = error as Error & { reason?: unknown };
  const description = message.replace(/^\(SSH\) Channel open failure: /, "");
  const to = formatEndpoint(target);
  const by = formatEndpoint(server);
  const failed = (code: DialErrorCode, sentence: string): DialError =>
    new DialError(code, sentence, { step: "dial", cause: error });
  switch (reason) {
    case reasonAdministrativelyProhibited:
      return failed("forbidden", `${by} does not allow a connection to ${to} (${description})`);
    case reasonConnectFailed:
      return failed(connectFailure(description), `${by} could not connect to ${to}: ${description}`);
    case reasonUnknownChannelType:
      return failed("unsupported", `${by} does not forward TCP connections (${description})`);
    case reasonResourceShortage:
      return failed("limit", `${by} takes no more connections for now (${description})`);
    default:
      return new DialError("closed", `${by} ended the connection while it was to connect to ${to}`, {
        step: "dial",
        scope: "upstream",
        cause: error,
      });
  }
}

/** OpenSSH sends what its operating system or its resolver said. */
function connectFailure(description: string): DialErrorCode {
  if (/timed? ?out/i.test(description)) return "timeout";
  if (/no route|unreachable|network is down|host is down/i.test(description)) return "unreachable";
  if (/not known|unknown host|resol|no address associated|nodename|servname/i.test(description)) return "dns";
  return "refused";
}
