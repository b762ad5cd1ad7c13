// Which patches an outline holds, as `plane/regions.py` says it: the same members to the last bit.

/** A box (left, top, right, bottom) or the corners of a polygon, in cells from the plane's left upper corner. */
export type Outline = { box: [number, number, number, number] } | { corners: Corner[] };
export type Corner = [number, number];

/** Where patches are, in cells; float64, as Python has them. */
export interface Places {
  x: Float64Array;
  y: Float64Array;
}

export interface Grid {
  left: number;
  top: number;
  side: number;
}

/** What `describe_region` says of members. */
export interface Described {
  centre: number;
  pictures: number;
  spread: number;
  /** How many members each picture has, most first; equals by picture. */
  counts: [number, number][];
}

/** Places on the filled plane, of points (N, 2) in t-SNE's own unit. */
export function placesOfPoints(points: Float32Array, grid: Grid): Places {
  const count = points.length / 2;
  const places = { x: new Float64Array(count), y: new Float64Array(count) };
  for (let patch = 0; patch < count; patch++) {
    places.x[patch] = (points[2 * patch]! - grid.left) / grid.side;
    places.y[patch] = (points[2 * patch + 1]! - grid.top) / grid.side;
  }
  return places;
}

/** Places on the one-to-one plane: the centre of the cell that shows the patch. */
export function placesOfCells(cells: Int32Array, columns: number, count: number): Places {
  const places = { x: new Float64Array(count), y: new Float64Array(count) };
  for (let cell = 0; cell < cells.length; cell++) {
    const patch = cells[cell]!;
    if (patch < 0) continue;
    places.x[patch] = (cell % columns) + 0.5;
    places.y[patch] = Math.floor(cell / columns) + 0.5;
  }
  return places;
}

/** Numbers of the patches in an outline, rising; its edges are in, and a polygon that crosses itself holds what an
 * odd number of its turns surrounds. */
export function inside(places: Places, outline: Outline): Int32Array {
  const [left, top, right, bottom] = "box" in outline ? outline.box : bounds(outline.corners);
  const held: number[] = [];
  for (let patch = 0; patch < places.x.length; patch++) {
    const x = places.x[patch]!;
    const y = places.y[patch]!;
    if (x < left || x > right || y < top || y > bottom) continue;
    if ("box" in outline || inPolygon(x, y, outline.corners)) held.push(patch);
  }
  return Int32Array.from(held);
}

function bounds(corners: readonly Corner[]): [number, number, number, number] {
  const xs = corners.map((corner) => corner[0]);
  const ys = corners.map((corner) => corner[1]);
  return [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
}

/** Whether a ray to the right crosses the border an odd number of times, or the point lies on it. */
function inPolygon(x: number, y: number, corners: readonly Corner[]): boolean {
  let odd = false;
  for (let n = 0; n < corners.length; n++) {
    const [x0, y0] = corners[n]!;
    const [x1, y1] = corners[(n + 1) % corners.length]!;
    const side = (x1 - x0) * (y - y0) - (x - x0) * (y1 - y0);
    const beside = x >= Math.min(x0, x1) && x <= Math.max(x0, x1) && y >= Math.min(y0, y1) && y <= Math.max(y0, y1);
    if (side === 0 && beside) return true;
    if (y0 > y !== y1 > y && side > 0 === y1 > y0) odd = !odd;
  }
  return odd;
}

/** Whence the members come; `members` is not empty. */
export function describe(members: Int32Array, places: Places, pictures: Int32Array): Described {
  const held = new Map<number, number>();
  for (const patch of members) held.set(pictures[patch]!, (held.get(pictures[patch]!) ?? 0) + 1);
  const squares = [...held.values()].reduce((sum, count) => sum + count * count, 0);
  return {
    centre: nearestToMean(members, places),
    pictures: held.size,
    spread: members.length ** 2 / squares,
    counts: [...held].sort((a, b) => b[1] - a[1] || a[0] - b[0]),
  };
}

function nearestToMean(members: Int32Array, places: Places): number {
  let [x, y] = [0, 0];
  for (const patch of members) {
    x += places.x[patch]! / members.length;
    y += places.y[patch]! / members.length;
  }
  const far = (patch: number) => (places.x[patch]! - x) ** 2 + (places.y[patch]! - y) ** 2;
  return members.reduce((best, patch) => (far(patch) < far(best) ? patch : best), members[0]!);
}
