import { setFlagsFromString } from "node:v8";

/**
 * Imported first by whatever carries connections. V8 watches what becomes of objects, and where many of a kind were still alive
 * at a collection (as after a burst of connections that stay) it makes the next ones in the old generation from the start. A
 * connection's objects made there are dead a moment later and stay until the next full collection, and keep all young ones
 * alive that they point at: measured with 2,000 short connections a second, each collection of the young generation found a
 * fifth of it "alive" and copied that for 25 to 60 ms. Without this guess of V8's it is 2 to 5 ms, and next to nothing.
 */
setFlagsFromString("--no-allocation-site-pretenuring");
