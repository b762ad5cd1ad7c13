// A filter's own patches among its strongest.

type Numbers = { [place: number]: number; readonly length: number };

/** What stands in rank after rank of each channel. */
export interface Top {
  picture: Numbers;
  row: Numbers;
  column: Numbers;
  value: Numbers;
}

/**
 * Leaves out, in place, patches to which a filter answers with exactly zero: they are none of its own, and its picture
 * does not show them. Others move up; at the end stands picture -1. `boxes`: (channels, ranks, 4).
 */
export function withoutZeros(top: Top, boxes: Numbers | null, ranks: number): void {
  for (let first = 0; first < top.picture.length; first += ranks) {
    let kept = first;
    for (let at = first; at < first + ranks; at++) if (top.value[at] !== 0) move(top, boxes, at, kept++);
    for (; kept < first + ranks; kept++) top.picture[kept] = -1;
  }
}

function move(top: Top, boxes: Numbers | null, from: number, to: number): void {
  for (const numbers of Object.values(top) as Numbers[]) numbers[to] = numbers[from] as number;
  for (let side = 0; boxes !== null && side < 4; side++) boxes[4 * to + side] = boxes[4 * from + side] as number;
}
