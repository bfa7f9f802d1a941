/** What the hosts of a TunWorld serve, over IPv4 and IPv6, and how their processes are talked to. */

/** TCP ports; 7 is UDP too. */
export const PORT = {
  /** Sends back what comes, and ends when the other side has. */
  echo: 7,
  /** Nobody listens there. */
  nobody: 9,
  http: 80,
  https: 443,
  /** Reads `SINK_HEAD` characters, a number, then so many bytes, then answers `<bytes> <crc32>` and ends. */
  sink: 2000,
  /** Reads a line with a number, sends so many bytes of the pattern, and ends. */
  source: 2001,
  /** Greets, and reads nothing before it is told to by `resume`; then as the sink. */
  stubborn: 2002,
  /** Resets the connection at the first byte. */
  resets: 2003,
  /** Ends as soon as the first byte came, and resets nothing. */
  ends: 2004,
  /** Greets and ends at once; what comes afterwards is counted like by the sink, and answered by nothing. */
  greets: 2005,
} as const;

export const SINK_HEAD = 16;

/** Asked by IPC, one after the other. */
export type FarQuestion = "state" | "resume";

export interface FarState {
  /** Connections that were accepted so far, and that are open. */
  readonly accepted: number;
  readonly open: number;
  /** Where the datagrams came from so far: `address:port`. */
  readonly datagramSources: readonly string[];
  /** Bytes that came to what greets and ends. */
  readonly read: number;
  /** Requests of HTTP so far: `Host path`. */
  readonly requests: readonly string[];
}
