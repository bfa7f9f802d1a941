/** Everything that an application can make grow or wait, and how far. Times in milliseconds, sizes in bytes. */
export interface TcpLimits {
  /** Connections and SYNs that wait, all but those in TIME-WAIT; one more is reset. */
  readonly connections: number;
  /** SYNs that wait for accept() or refuse(), and SYN-ACKs that wait for an answer, at one time, in all and from one address. */
  readonly attempts: number;
  readonly attemptsPerSource: number;
  /** An attempt whose application does not repeat its SYN for this long, and 2.5 times as long as it did so far, has given up. */
  readonly attemptSilence: number;
  /** SYN-ACKs that are sent before nobody is taken to be there. */
  readonly synAcks: number;
  /** What an application owes an answer to is given up after this (RFC 9293 §3.8.3 R2, as a time). */
  readonly unanswered: number;
  /** How long a connection whose one direction has ended may carry nothing. */
  readonly halfClosed: number;
  /** How long a connection may carry nothing. 0: for ever. */
  readonly idle: number;
  /** How long the rest is sent to an application once both directions have ended. */
  readonly linger: number;
  /** After so much silence an application is asked whether it is still there (RFC 9293 §3.8.4). 0: never. */
  readonly keepalive: number;
  readonly keepaliveInterval: number;
  readonly keepaliveProbes: number;
  /** TIME-WAIT. Nothing stays under way for long on a link that is inside one machine. */
  readonly timeWait: number;
  /** Connections in TIME-WAIT; the oldest go. */
  readonly timeWaits: number;
  /** An acknowledgement of little data waits this long for data to go with. */
  readonly delayedAck: number;
  /** Bytes that wait for a reader: at first, at most, and at most for all connections together (see BufferBudget). */
  readonly receiveBuffer: number;
  readonly maxReceiveBuffer: number;
  readonly receiveBudget: number;
  /**
   * Bytes that wait for an application's acknowledgement: at first, at most, and by how much all connections together may
   * go beyond the first. Chunks wait by reference: beyond some tens of megabytes of them V8 collects garbage without a pause.
   */
  readonly sendBuffer: number;
  readonly maxSendBuffer: number;
  readonly sendBudget: number;
  /** The congestion window at first. */
  readonly initialWindow: number;
  /** Resets in answer to segments of unknown connections, for each second. */
  readonly resetsPerSecond: number;
}

export const defaultTcpLimits: TcpLimits = {
  connections: 16_384,
  attempts: 4096,
  attemptsPerSource: 2048,
  attemptSilence: 5000,
  synAcks: 6,
  unanswered: 60_000,
  halfClosed: 600_000,
  idle: 0,
  linger: 60_000,
  keepalive: 600_000,
  keepaliveInterval: 15_000,
  keepaliveProbes: 4,
  timeWait: 10_000,
  timeWaits: 4096,
  delayedAck: 10,
  receiveBuffer: 256 * 1024,
  maxReceiveBuffer: 4 * 1024 * 1024,
  receiveBudget: 256 * 1024 * 1024,
  sendBuffer: 256 * 1024,
  maxSendBuffer: 1024 * 1024,
  sendBudget: 16 * 1024 * 1024,
  initialWindow: 1024 * 1024,
  resetsPerSecond: 1000,
};

/** What happened, for the metrics. Each only grows. */
export interface TcpCounters {
  /** As the device hands them over and takes them, so that one of many that the kernel joins or cuts counts once. */
  segmentsIn: number;
  segmentsOut: number;
  /** Segments with a wrong checksum, or that are no TCP. */
  bad: number;
  /** SYNs that were ignored because a limit on attempts was reached, or reset because one on connections was. */
  attemptsDropped: number;
  /** Segments that were sent again. */
  retransmissions: number;
  resetsSent: number;
  /** Those that were not believed (RFC 5961 §3) included. */
  resetsReceived: number;
  /** Connections that ended because the application did not answer in time. */
  timeouts: number;
}
