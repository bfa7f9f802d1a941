/** Rows that are asked for at once; what is on the screen is well within them. */
export const WINDOW_ROWS = 200;
/** Nearer than this to an edge of the window, it moves. */
const MARGIN_ROWS = 50;

/** Where the window begins once rows `first` to `last` are on the screen: as it is, while they are well within it. */
export function nextOffset(offset: number, first: number, last: number): number {
  const tooLow = first < offset + MARGIN_ROWS && offset > 0;
  const tooHigh = last > offset + WINDOW_ROWS - MARGIN_ROWS;
  if (!tooLow && !tooHigh) return offset;
  const middle = Math.floor((first + last) / 2);
  return Math.max(0, middle - WINDOW_ROWS / 2);
}
