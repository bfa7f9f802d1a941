import { describeRequest } from "@sockeye/engine/control/describe-share";
import { scrub } from "@sockeye/engine/observe/redact";
import { HttpTap } from "@sockeye/engine/share/inspect/http-tap";
import type { KeptRequest } from "@sockeye/engine/share/inspect/kept-request";
import { RequestRing } from "@sockeye/engine/share/inspect/request-ring";
import type { StreamTap } from "@sockeye/engine/share/tapped-carry";
import { print } from "./output.ts";

type Detail = ReturnType<typeof describeRequest>;

/** Of a body; what is longer is for the interface to show. */
const MAX_PRINTED_CHARACTERS = 2_000;

/** Prints each request and its answer when it is over, with credentials hidden. */
export class RequestPrinter {
  readonly #ring = new RequestRing();
  readonly #json: boolean;

  constructor(json: boolean) {
    this.#json = json;
  }

  tap(): StreamTap {
    const open = new Set<KeptRequest>();
    const tap = new HttpTap((request, start) => {
      const kept = this.#ring.begin(request, start);
      open.add(kept);
      return kept;
    });
    const look = () => {
      for (const kept of open) {
        if (kept.state === "open") continue;
        open.delete(kept);
        this.#print(describeRequest(kept, false));
      }
    };
    return {
      toLocal: (chunk) => tap.toLocal(chunk),
      toPublic: (chunk) => {
        tap.toPublic(chunk);
        look();
      },
      localEnded: () => {
        tap.localEnded();
        look();
      },
      ended: (failure) => {
        tap.ended(failure);
        look();
      },
    };
  }

  #print(detail: Detail): void {
    if (this.#json) print(JSON.stringify({ event: "inspected", ...detail }));
    else process.stderr.write(`${linesOf(detail).map(scrub).join("\n")}\n`);
  }
}

function linesOf({ method, target, request, response, failure }: Detail): string[] {
  return [
    `> ${method} ${target}`,
    ...messageLines(">", request),
    ...(response === undefined ? [] : messageLines("<", response)),
    ...(failure === undefined ? [] : [`! ${failure}`]),
    "",
  ];
}

function messageLines(mark: string, { headers, body }: Detail["request"]): string[] {
  const text = body.text ?? `${body.bytes} bytes that are no text`;
  const shown = text.length > MAX_PRINTED_CHARACTERS ? `${text.slice(0, MAX_PRINTED_CHARACTERS)}…` : text;
  return [
    ...headers.map(({ name, value }) => `${mark} ${name}: ${value}`),
    ...(body.bytes === 0 ? [] : shown.split("\n").map((line) => `${mark} ${line}`)),
  ];
}
