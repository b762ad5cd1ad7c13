// What was drawn by hand as it stands in an address: a lasso of at most 32 corners on eighths of a cell, a box on steps.
import { CORNERS } from "../polygon";
import type { Corner } from "./regions";

const LARGEST = 64 * 64 - 1;

/** Steps of corners along a cell: 8, but fewer on planes too long for an address. */
export function stepsOf(rows: number, columns: number): number {
  let steps = 8;
  while (steps > 1 && Math.max(rows, columns) * steps > LARGEST) steps /= 2;
  return steps;
}

/** The polygon that a drawn line is taken for; fewer than 3 corners: it surrounds nothing. */
export function simplify(line: readonly Corner[], steps: number, most: number = CORNERS): Corner[] {
  const corners = withoutRepeats(line.map(([x, y]) => [onStep(x, steps), onStep(y, steps)] as Corner));
  while (corners.length > 2) {
    const least = leastArea(corners);
    if (corners.length <= most && areaAt(corners, least) > 0) break;
    corners.splice(least, 1);
  }
  return corners.length > 2 ? corners : [];
}

function onStep(value: number, steps: number): number {
  return Math.min(Math.max(Math.round(value * steps), 0), LARGEST) / steps;
}

function withoutRepeats(corners: readonly Corner[]): Corner[] {
  return corners.filter(([x, y], n) => {
    const [before, above] = corners[(n + corners.length - 1) % corners.length]!;
    return x !== before || y !== above;
  });
}

/** The corner whose loss changes the area least (Visvalingam and Whyatt 1993). */
function leastArea(corners: readonly Corner[]): number {
  let least = 0;
  for (let n = 1; n < corners.length; n++) if (areaAt(corners, n) < areaAt(corners, least)) least = n;
  return least;
}

function areaAt(corners: readonly Corner[], n: number): number {
  const [x0, y0] = corners[(n + corners.length - 1) % corners.length]!;
  const [x1, y1] = corners[n]!;
  const [x2, y2] = corners[(n + 1) % corners.length]!;
  return Math.abs((x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)) / 2;
}

/** The box that two corners of a drag span: whole cells, or steps; null: it has no inside. */
export function boxOf(one: Corner, other: Corner, steps: number): [number, number, number, number] | null {
  const low = (a: number, b: number) => Math.floor(Math.max(Math.min(a, b), 0) * steps) / steps;
  const high = (a: number, b: number) => Math.ceil(Math.max(a, b, 0) * steps) / steps;
  const box = [low(one[0], other[0]), low(one[1], other[1]), high(one[0], other[0]), high(one[1], other[1])];
  return box[0]! < box[2]! && box[1]! < box[3]! ? (box as [number, number, number, number]) : null;
}
