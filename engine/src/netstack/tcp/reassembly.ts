import { before, distance, earlier, later } from "./sequence.ts";

/** Pieces that one connection keeps; what comes beyond is dropped, and the peer sends it again. */
const MAX_PIECES = 1024;
const MAX_RECENT = 4;

interface Piece {
  readonly seq: number;
  readonly bytes: Buffer;
}

/** What came before its turn, in order and without overlaps: what came first stays (RFC 9293 §3.10.7.4 leaves the choice). */
export class Reassembly {
  readonly #pieces: Piece[] = [];
  /** One number of each of the last arrivals, newest first: their ranges are reported first (RFC 2018 §4). */
  readonly #recent: number[] = [];

  get empty(): boolean {
    return this.#pieces.length === 0;
  }

  /** Keeps a copy of what is new of `bytes` from `from` to `to`, which begins at the sequence number `seq`. */
  add(seq: number, bytes: Uint8Array, from: number, to: number): void {
    const pieces = this.#pieces;
    const end = (seq + to - from) | 0;
    let index = pieces.length;
    while (index > 0 && before(seq, endOf(pieces[index - 1]!))) index--;
    let at = seq;
    while (before(at, end)) {
      const next = pieces[index];
      const stop = next ? earlier(end, next.seq) : end;
      if (before(at, stop)) {
        if (pieces.length >= MAX_PIECES) return;
        const start = from + distance(at, seq);
        const copy = Buffer.allocUnsafeSlow(distance(stop, at));
        copy.set(bytes.subarray(start, start + copy.length));
        pieces.splice(index++, 0, { seq: at, bytes: copy });
      }
      if (!next) break;
      at = later(stop, endOf(next));
      index++;
    }
    this.#note(seq);
  }

  /** Takes out the next piece, if it begins at `seq` or before; the caller skips what it has. */
  take(seq: number): Buffer | undefined {
    for (;;) {
      const first = this.#pieces[0];
      if (!first || before(seq, first.seq)) return undefined;
      this.#pieces.shift();
      const known = distance(seq, first.seq);
      if (known < first.bytes.length) return known === 0 ? first.bytes : first.bytes.subarray(known);
    }
  }

  clear(): void {
    this.#pieces.length = 0;
  }

  /** Writes ranges to report, start and end of each, newest first. @returns how many. */
  blocks(into: Int32Array, most: number): number {
    let count = 0;
    for (const seq of this.#recent) {
      if (count === most) break;
      if (this.#range(seq, into, 2 * count) && isNew(into, count)) count++;
    }
    return count;
  }

  #range(seq: number, into: Int32Array, at: number): boolean {
    const pieces = this.#pieces;
    for (let i = 0; i < pieces.length;) {
      const start = pieces[i]!.seq;
      let end = endOf(pieces[i]!);
      for (i++; i < pieces.length && pieces[i]!.seq === end; i++) end = endOf(pieces[i]!);
      if (before(seq, start)) return false;
      if (before(seq, end)) {
        into[at] = start;
        into[at + 1] = end;
        return true;
      }
    }
    return false;
  }

  #note(seq: number): void {
    this.#recent.unshift(seq);
    if (this.#recent.length > MAX_RECENT) this.#recent.pop();
  }
}

function endOf(piece: Piece): number {
  return (piece.seq + piece.bytes.length) | 0;
}

function isNew(blocks: Int32Array, count: number): boolean {
  for (let i = 0; i < count; i++) if (blocks[2 * i] === blocks[2 * count]) return false;
  return true;
}
