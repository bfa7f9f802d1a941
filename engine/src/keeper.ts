import type { Duplex } from "node:stream";

/**
 * The property by which a stream knows who holds it at the moment: a handshake, an exchange with a proxy, a splice. Their
 * listeners are functions that all streams share, and find by it what they work on.
 *
 * It is one property for all of them, and a socket gets it as soon as it is made, because each property that is added gives an
 * object another shape. Code that meets more than four shapes looks each property up the long way from then on, and Node's own
 * code for streams and sockets met seven: measured, that was nearly a tenth of all that a short connection cost.
 */
export const keeper: unique symbol = Symbol("keeper");

interface Kept extends Duplex {
  [keeper]?: unknown;
}

/** A stream that was just made, and that nobody holds yet, in the shape that it will keep. */
export function unkept<Stream extends Duplex>(stream: Stream & Kept): Stream {
  stream[keeper] = undefined;
  return stream;
}
