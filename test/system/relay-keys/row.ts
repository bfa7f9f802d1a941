import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import type { ShareClientOptions, ShareSpec } from "@sockeye/engine/share/share";
import { makeCertificate } from "../../peers/certificates.ts";
import type { KeyedRelay, Settings, Way } from "../../peers/keyed-relay.ts";
import { startLocalHttp, startLocalTcp, startShare, type TestShare, until } from "../../peers/relay.ts";

/** A key of the relay's configuration, and what can be seen from outside once it has a value. */
export interface KeyRow {
  /** As a flag or a variable has it; ports that are opened differ from way to way, for they run side by side. */
  readonly value: string | Readonly<Record<Way, string>>;
  /** What else is set. */
  readonly base?: Settings;
  /** Passes where the key has the value, and fails where it has its default, within a few seconds. */
  readonly check: (relay: KeyedRelay) => Promise<void>;
}

export type KeyRows = Readonly<Record<string, KeyRow>>;

export const folder = mkdtempSync(join(tmpdir(), "relay-keys-"));
after(() => rmSync(folder, { recursive: true, force: true }));

/** One authority has signed the certificate of servers and clients alike; its common name is x. */
export const certificate = makeCertificate(folder, [
  "localhost",
  "*.localhost",
  "IP:127.0.0.1",
  "IP:127.0.0.2",
]);
export const ca = readFileSync(certificate.caFile, "utf8");
export const own = {
  cert: readFileSync(certificate.certFile, "utf8"),
  key: readFileSync(certificate.keyFile, "utf8"),
};

/** Answers with the path; `/hang` has no answer, and `/headers` has the request's as JSON. */
const web = await startLocalHttp((request, response) => {
  if (request.url === "/hang") return;
  response.setHeader("Connection", "close");
  response.end(request.url === "/headers" ? JSON.stringify(request.headers) : `here ${request.url}`);
});
/** Sends everything back. */
const echo = await startLocalTcp((socket) => {
  socket.on("data", (chunk: Buffer) => socket.write(chunk));
  socket.on("end", () => setTimeout(() => socket.end(), 30_000).unref());
});
after(() => Promise.all([web.stop(), echo.stop()]));

export function shareWeb(
  relay: KeyedRelay,
  name = "demo",
  options: Partial<ShareClientOptions> = {},
): ReturnType<typeof startShare> {
  return shareThat(relay, { kind: "http", name, target: web.target }, options);
}

export function sharePort(
  relay: KeyedRelay,
  spec: Partial<ShareSpec> = {},
  options: Partial<ShareClientOptions> = {},
): ReturnType<typeof startShare> {
  return shareThat(relay, { kind: "tcp", target: echo.target, ...spec }, options);
}

function shareThat(relay: KeyedRelay, spec: ShareSpec, options: Partial<ShareClientOptions>) {
  return startShare(relay, spec, { token: undefined, ...options });
}

export function portOf(share: { readonly address: string }): number {
  return Number(share.address.split(":").at(-1));
}

/** Asks for another share beside the first, which the relay is not to give. @returns why it doesn't. */
export async function secondRefused(first: TestShare, spec: ShareSpec): Promise<string> {
  const share = first.client.add(spec);
  await until(() => share.refusal !== undefined || share.addresses.length > 0, "it is answered", 3000);
  return share.refusal?.code ?? "given";
}

export interface Where {
  readonly host?: string;
  readonly port: number;
}

/** Sends `text` and reads for as long as something comes, or until `enough`; at most 3 seconds. */
export async function talk(
  { host = "127.0.0.1", port }: Where,
  text: string,
  enough: (got: string) => boolean = () => false,
): Promise<string> {
  const socket = connect({ host, port });
  socket.on("error", () => {});
  let got = "";
  socket.on("data", (chunk: Buffer) => {
    got += chunk.toString("latin1");
    if (enough(got)) socket.destroy();
  });
  socket.write(text, "latin1");
  await closed(socket, 3000);
  return got;
}

/** Waits for the end of a socket. @returns the milliseconds that took; `ms` where it did not end. */
export async function closed(socket: Socket, ms: number): Promise<number> {
  const began = performance.now();
  const late = setTimeout(() => socket.destroy(), ms);
  if (!socket.closed) await new Promise((resolve) => socket.once("close", resolve));
  clearTimeout(late);
  return Math.min(ms, performance.now() - began);
}

export function request(path = "/", name = "demo.localhost", more = ""): string {
  return `GET ${path} HTTP/1.1\r\nHost: ${name}\r\nConnection: close\r\n${more}\r\n`;
}

/** One request to the relay's public HTTP listener. */
export function get(relay: KeyedRelay, path = "/", more = ""): Promise<string> {
  return talk(relay.http!, request(path, "demo.localhost", more));
}

/** A connection to a public listener that says nothing yet. */
export function hold(where: Where, text = ""): Socket & Disposable {
  const socket = connect({ host: where.host ?? "127.0.0.1", port: where.port, allowHalfOpen: true });
  socket.on("error", () => {});
  if (text !== "") socket.write(text);
  return Object.assign(socket, { [Symbol.dispose]: () => void socket.destroy() });
}
