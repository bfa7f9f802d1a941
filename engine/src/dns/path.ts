import type { Endpoint } from "../endpoint.ts";

export interface AskOptions {
  /** Ends the wait; its reason is what ask() rejects with. */
  readonly signal: AbortSignal;
}

/**
 * Asks a server: `query` is a whole message with one question; its id is not used on the way.
 * @returns the server's whole answer to that question, under the query's id.
 * @throws whatever kept the answer away.
 */
export type AskServer = (server: Endpoint, query: Buffer, options: AskOptions) => Promise<Buffer>;

/** A way to answers: a server behind an upstream, or the machine's own name servers. */
export interface DnsPath {
  /** Tells apart ways whose answers may differ. */
  readonly key: string;
  /** How often a query is asked at most within the deadline; 1 where the way itself tries again. */
  readonly tries: number;
  ask(query: Buffer, options: AskOptions): Promise<Buffer>;
}
