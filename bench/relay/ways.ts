import { setTimeout as sleep } from "node:timers/promises";
import { request } from "node:http";
import type { Rig } from "../bench.ts";
import { startLongLink, type Origin } from "../load/load.ts";
import { oneLine, type Measured } from "../rounds.ts";
import { findPeer } from "../tun/find-peer.ts";
import type { Carrier, Carrying, Wish } from "./carriers.ts";
import { PEERS } from "./peers.ts";
import { showoff } from "./showoff.ts";

/** A way of the public to the origin. */
export interface Way extends Measured {
  /** "none": to the origin itself. */
  readonly link: Carrier["link"] | "none";
  readonly isOurs: boolean;
  /** Whether the server reads each request, or passes bytes on. */
  readonly reads: boolean;
  readonly port: number;
  readonly host: string;
  /** The way to the echo; once for each carrier. */
  readonly echo: number | undefined;
}

const READY_MS = 10_000;

/** Those who are installed here, with a word in the results for each who is not. */
export function carriersHere(rig: Rig): Carrier[] {
  const ours = [showoff("clear"), showoff("encrypted")];
  const missing = new Set<string>();
  const found = [...ours, ...PEERS].filter(({ needs }) => {
    const absent = needs.filter((program) => findPeer(program) === undefined);
    for (const program of absent) missing.add(program);
    return absent.length === 0;
  });
  for (const program of missing) rig.missing(`${program}: not installed`);
  return [
    ...found.filter(({ link }) => link === "clear"),
    ...found.filter(({ link }) => link === "encrypted"),
  ];
}

/** Starts all of them, and waits until each has answered. @param delayMs one way between client and server. */
export async function startWays(
  rig: Rig,
  stack: AsyncDisposableStack,
  carriers: readonly Carrier[],
  where: { readonly origin: Origin; readonly delayMs: number },
): Promise<Way[]> {
  const { origin, delayMs } = where;
  const direct: Way = {
    ...{ name: "direct", link: "none", isOurs: false, reads: false, children: [] },
    ...{ port: origin.http, host: "127.0.0.1", echo: origin.echo },
  };
  const ways: Way[] = delayMs === 0 ? [direct] : [];
  for (const carrier of carriers) {
    try {
      ways.push(...waysOf(carrier, await startCarrier(carrier, stack, where)));
    } catch (error) {
      rig.missing(`${carrier.name}: ${oneLine(error)}`);
    }
  }
  return ways;
}

/** Starts one, and waits until the origin answers through it. */
export async function startCarrier(
  carrier: Carrier,
  stack: AsyncDisposableStack,
  { origin, delayMs }: { readonly origin: Origin; readonly delayMs: number },
): Promise<Carrying> {
  const approach: Wish["approach"] = async (port, lastByte) => {
    if (delayMs === 0) return { host: "127.0.0.1", port };
    const place = lastByte === undefined ? undefined : { port, lastByte };
    const link = stack.use(await startLongLink(port, delayMs, place));
    return { host: `127.0.0.${lastByte ?? 1}`, port: link.port };
  };
  const carrying = await carrier.start({ origin, approach }, stack);
  await answers(carrying.http, "127.0.0.1");
  if (carrying.byName !== undefined) await answers(carrying.byName.port, carrying.byName.host);
  return carrying;
}

export function waysOf({ name, link }: Carrier, { byName, http, echo, children }: Carrying): Way[] {
  const isOurs = name === "showoff";
  const suffix = isOurs && link === "encrypted" ? ", TLS" : "";
  const common = { link, isOurs, children };
  const passed: Way = {
    ...{ ...common, name: `${name}${suffix}${byName ? ", TCP" : ""}`, reads: false },
    ...{ port: http, host: "127.0.0.1", echo },
  };
  if (byName === undefined) return [passed];
  return [{ ...common, ...byName, name: `${name}${suffix}, HTTP`, reads: true, echo: undefined }, passed];
}

/** Waits until a request is answered there. @throws {Error} where none is in time. */
async function answers(port: number, host: string): Promise<void> {
  const deadline = performance.now() + READY_MS;
  while ((await statusAt(port, host)) !== 200) {
    if (performance.now() > deadline) throw new Error("no request was answered in time");
    await sleep(50);
  }
}

function statusAt(port: number, host: string): Promise<number | undefined> {
  return new Promise((resolve) => {
    const asked = request({ port, host: "127.0.0.1", headers: { Host: host }, agent: false, timeout: 2000 });
    asked.on("response", (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    asked.on("timeout", () => asked.destroy());
    asked.on("error", () => resolve(undefined));
    asked.end();
  });
}
