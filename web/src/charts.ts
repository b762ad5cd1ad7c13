// What charts are made of. d3-scale and d3-shape would be a quarter of the first view's code; these few lines are not.
export { ticks } from "d3-array";

export type Scale = (value: number) => number;

/** Takes a range of values to a range of pixels. */
export function scale([low, high]: [number, number], [from, to]: [number, number]): Scale {
  const slope = high === low ? 0 : (to - from) / (high - low);
  return (value) => from + (value - low) * slope;
}

/** A line through points, as the path of an SVG. */
export function path(points: { x: number; y: number }[]): string {
  return points.map(({ x, y }, at) => `${at === 0 ? "M" : "L"}${round(x)} ${round(y)}`).join("");
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}

/** The mark of the network at a place of the study, about 0, 0, as a path: colour is not all that tells them apart. */
export function mark(network: number, radius: number): string {
  const [r, d] = [radius, round(radius * 1.3)];
  const marks = [
    `M${-r} 0a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0z`,
    `M0 ${-d}L${d} 0L0 ${d}L${-d} 0z`,
    `M${-r} ${-r}H${r}V${r}H${-r}z`,
    `M0 ${-d}L${d} ${r}H${-d}z`,
  ];
  return marks[network % marks.length] as string;
}
