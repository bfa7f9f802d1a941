import type { HttpBodyError } from "@sockeye/wire/http-body";
import type { HttpHeadError } from "@sockeye/wire/http-head";
import type { ResetReason } from "@sockeye/wire/mux-frames";
import { statusOf } from "@sockeye/wire/request-head";
import type { Refusal } from "../limits/limits.ts";
import type { ErrorKind } from "../observer.ts";
import type { Refused } from "./pages.ts";

/** What the relay says where it can't pass a request on, or an answer back. */

export function badHead(error: HttpHeadError): Refused {
  return {
    status: statusOf(error),
    kind: "bad-request",
    title: "This request can't be read",
    sentence: `It was refused because ${error.message}.`,
  };
}

export function badBody(error: HttpBodyError): Refused {
  return {
    status: 400,
    kind: "bad-request",
    title: "This request's body can't be read",
    sentence: `It was refused because ${error.message}.`,
  };
}

export function unknownName(hostname: string): Refused {
  return {
    status: 404,
    kind: "unknown-name",
    title: "Nothing is shared under this name",
    sentence: `${hostname} is not the address of anything that is shared here now.`,
  };
}

export function away(hostname: string): Refused {
  return {
    status: 503,
    kind: "away",
    title: "This share is offline",
    sentence: `Whoever shares ${hostname} was here lately, and is not connected now. Try again in a moment.`,
    retryAfter: 5,
  };
}

export function limited(refusal: Refusal): Refused {
  return {
    status: refusal.code === "too-often" ? 429 : 503,
    kind: "limit",
    title: "Too much at once",
    sentence: `More was asked for than is allowed here (${refusal.limit}). Try again in a moment.`,
    retryAfter: refusal.retryAfter,
    limit: refusal.limit,
  };
}

export const tooManyStreams: Refused = {
  status: 503,
  kind: "limit",
  title: "Too much at once",
  sentence: "Whoever shares this has as many requests under way as there can be. Try again in a moment.",
  retryAfter: 1,
};

export const noConnect: Refused = {
  status: 405,
  kind: "bad-request",
  title: "This is not a proxy",
  sentence: "CONNECT is not served here.",
};

export const notAuthorised: Refused = {
  status: 503,
  kind: "not-authorised",
  title: "This share is no longer allowed",
  sentence: "Whoever shares this may not do so any more.",
};

/** RFC 7617 §2. The realm is the same for every share: a name in it would tell nobody more than the address does. */
export const notLetIn: Refused = {
  status: 401,
  kind: "guarded",
  title: "This share asks for a password",
  sentence: "Whoever shares this lets in those who know its username and password.",
  challenge: 'Basic realm="share", charset="UTF-8"',
};

export const notFromHere: Refused = {
  status: 403,
  kind: "guarded",
  title: "This share is not for your address",
  sentence: "Whoever shares this lets in requests from certain networks, and yours is not among them.",
};

export const unavailable: Refused = {
  status: 503,
  kind: "away",
  title: "This can't be answered now",
  sentence: "The relay could not find out who answers. Try again in a moment.",
  retryAfter: 5,
};

export const notTaken: Refused = {
  status: 504,
  kind: "not-taken",
  title: "The share did not take this up in time",
  sentence: "Whoever shares this is connected, and takes no requests up now. Try again in a moment.",
};

export const slow: Refused = {
  status: 504,
  kind: "local-timeout",
  title: "The local service did not answer in time",
  sentence: "The share is connected, and the service behind it took the request and did not answer.",
};

export const slowRequest: Refused = {
  status: 408,
  kind: "idle",
  title: "The request came too slowly",
  sentence: "The head of the request was not complete in time.",
};

export const localClosed: Refused = {
  status: 502,
  kind: "local-closed",
  title: "The local service broke off",
  sentence: "The share is connected, and the service behind it closed the connection without an answer.",
};

export function badResponse(error: HttpHeadError | HttpBodyError): Refused {
  return {
    status: 502,
    kind: "bad-response",
    title: "The local service's answer can't be read",
    sentence: `The share is connected. The answer of the service behind it was refused because ${error.message}.`,
  };
}

/** What a stream's end before the answer means to whoever asked. */
export function ofReset(reason: ResetReason): { readonly kind: ErrorKind; readonly refused: Refused } {
  switch (reason) {
    case "refused":
      return local("local-refused", 502, "refuses connections; most likely it is not running");
    case "unreachable":
      return local("local-unreachable", 502, "can't be reached");
    case "timeout":
      return local("local-timeout", 504, "did not take the connection in time");
    case "overload":
      return { kind: "limit", refused: tooManyStreams };
    case "unshared":
      return { kind: "away", refused: away("this address") };
    case "lost":
      return {
        kind: "lost",
        refused: {
          status: 502,
          kind: "lost",
          title: "The connection to the share was lost",
          sentence: "It broke while the request was under way, which may or may not have been carried out.",
        },
      };
    case "closed":
    case "cancelled":
      return { kind: "local-closed", refused: localClosed };
  }
}

function local(kind: ErrorKind, status: 502 | 504, what: string): { kind: ErrorKind; refused: Refused } {
  return {
    kind,
    refused: {
      status,
      kind,
      title: "The local service is not there",
      sentence: `The share is connected, and the service behind it ${what}.`,
    },
  };
}
