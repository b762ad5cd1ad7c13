// A lasso as it stands in an address: at most 32 corners on eighths of a cell, four characters each.
import type { Corner } from "./regions";

export const MOST_CORNERS = 32;
const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const LARGEST = 64 * 64 - 1;

/** Steps of corners along a cell: 8, but fewer on planes too long for two characters. */
export function stepsOf(rows: number, columns: number): number {
  let steps = 8;
  while (steps > 1 && Math.max(rows, columns) * steps > LARGEST) steps /= 2;
  return steps;
}

/** The polygon that a drawn line is taken for; fewer than 3 corners: it surrounds nothing. */
export function simplify(line: readonly Corner[], steps: number, most: number = MOST_CORNERS): Corner[] {
  const corners = withoutRepeats(line.map(([x, y]) => [onStep(x, steps), onStep(y, steps)] as const));
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

export function formatCorners(corners: readonly Corner[], steps: number): string {
  const digits = (value: number) => DIGITS[Math.floor((value * steps) / 64)]! + DIGITS[(value * steps) % 64]!;
  return corners.map(([x, y]) => digits(x) + digits(y)).join("");
}

/** The corners that an address names; null: it names none. */
export function parseCorners(text: string, steps: number): Corner[] | null {
  const numbers = [...text].map((character) => DIGITS.indexOf(character));
  if (numbers.length % 4 || numbers.length < 12 || numbers.length > 4 * MOST_CORNERS) return null;
  if (numbers.includes(-1)) return null;
  const value = (at: number) => (numbers[at]! * 64 + numbers[at + 1]!) / steps;
  return Array.from({ length: numbers.length / 4 }, (_, n) => [value(4 * n), value(4 * n + 2)] as const);
}

/** The box that two corners of a drag span: whole cells, or steps; null: it has no inside. */
export function boxOf(one: Corner, other: Corner, steps: number): [number, number, number, number] | null {
  const low = (a: number, b: number) => Math.floor(Math.max(Math.min(a, b), 0) * steps) / steps;
  const high = (a: number, b: number) => Math.ceil(Math.max(a, b, 0) * steps) / steps;
  const box = [low(one[0], other[0]), low(one[1], other[1]), high(one[0], other[0]), high(one[1], other[1])];
  return box[0]! < box[2]! && box[1]! < box[3]! ? (box as [number, number, number, number]) : null;
}

/** The box that an address names; null: it names none. */
export function parseBox(text: string): [number, number, number, number] | null {
  const parts = text.split(",");
  const box = parts.map(Number);
  const good = parts.length === 4 && parts.every((part) => part.trim() !== "") && box.every(Number.isFinite);
  return good && box[0]! <= box[2]! && box[1]! <= box[3]! ? (box as [number, number, number, number]) : null;
}
