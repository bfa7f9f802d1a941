import type { Duplex } from "node:stream";
import type { Endpoint } from "../endpoint.ts";

/** Addresses that stand for names (fake-ip). */
export interface TunNames {
  /**
   * The name that `address` stands for, or `address` itself.
   * @throws {DialError} for an address that stands for no name any more.
   */
  targetOf(address: string): string;
  /** The address is in use, and must keep its name until release(). @returns false where it stands for no name. */
  hold(address: string): boolean;
  release(address: string): void;
}

/** Who answers what is sent to port 53, whatever the address. */
export interface TunDns {
  /** @returns undefined for what gets no answer. Never rejects. */
  answerDatagram(query: Buffer, server: Endpoint): Promise<Buffer | undefined>;
  /** Serves a connection; the stream is the server's from now on. */
  serve(stream: Duplex, server: Endpoint): void;
}

/** The endpoint by its name where its address stands for one; else itself. @throws {DialError} */
export function named(target: Endpoint, names: TunNames): Endpoint {
  const host = names.targetOf(target.host);
  return host === target.host ? target : { host, port: target.port };
}
