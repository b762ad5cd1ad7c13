// What is drawn over the tiles of a plane, made once for each change, not for each frame.
import type { Arrangement } from "../address";
import type { Colours } from "./colours";
import { type Plane, planeOf, type Space } from "./model";
import { type Edges, edgesOf } from "./outlines";
import type { Corner, Outline } from "./regions";

/** What is to be seen. */
export interface Shown {
  space: Space;
  arrangement: Arrangement;
  /** Patches that are not dimmed; null: none is. */
  members: Int32Array | null;
  /** What was drawn, if it was on the plane shown. */
  outline: Outline | null;
  /** Whether the members' cells are outlined. */
  outlined: boolean;
  /** Whether the suggested regions are. */
  suggested: boolean;
  colours: Colours | null;
  /** Whether points are light on dark. */
  dark: boolean;
}

export interface Scene extends Shown {
  plane: Plane;
  /** A pixel for each cell; null: nothing covers the tiles but the page, at `holes`. */
  cover: HTMLCanvasElement | null;
  /** Cells without a patch, if they are few. */
  holes: number[];
  /** Of the members' cells; null: the points are seen, or an outline. */
  edges: Edges | null;
  marks: Mark[];
  /** Whether each patch is a member. */
  within: Uint8Array | null;
  /** Points by cell, so that only those in view are drawn; null: cells are seen. */
  buckets: Buckets | null;
}

/** A suggested region: its dashed outline, and where its number stands. */
export interface Mark {
  number: number;
  edges: Edges | null;
  corners: Corner[] | null;
  at: Corner;
}

export interface Buckets {
  starts: Int32Array;
  patches: Int32Array;
}

const MOST_HOLES = 1_000;
const DIM = 0xb3151515; // 70 % of #151515

export function sceneOf(shown: Shown): Scene {
  const { space, arrangement, members } = shown;
  const plane = planeOf(space, arrangement);
  const points = arrangement === "points";
  const holes = points ? [] : holesOf(plane);
  const within = members && flags(members, space.count);
  const cells = within && !points ? cellsWithin(plane, within) : null;
  return {
    ...shown,
    plane,
    within,
    holes,
    cover: points || (within === null && shown.colours === null && holes.length < MOST_HOLES) ? null : coverOf(plane, within, shown),
    edges: cells && shown.outlined && shown.outline === null ? edgesOf(cells, plane.rows, plane.columns) : null,
    marks: shown.suggested ? marksOf(space, arrangement) : [],
    buckets: points ? bucketsOf(space, plane) : null,
  };
}

function holesOf(plane: Plane): number[] {
  const holes: number[] = [];
  for (let cell = 0; cell < plane.cells.length && holes.length < MOST_HOLES; cell++) if (plane.cells[cell]! < 0) holes.push(cell);
  return holes;
}

export function flags(members: Int32Array, count: number): Uint8Array {
  const within = new Uint8Array(count);
  for (const patch of members) within[patch] = 1;
  return within;
}

function cellsWithin(plane: Plane, within: Uint8Array): Uint8Array {
  return Uint8Array.from(plane.cells, (patch) => (patch >= 0 ? within[patch]! : 0));
}

/** One pixel a cell: the dim over what is not selected, the colour over what is, the page where there is no patch. */
function coverOf(plane: Plane, within: Uint8Array | null, { colours, dark }: Shown): HTMLCanvasElement {
  const ground = dark ? 0xff151515 : 0xfff4f4f4;
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [plane.columns, plane.rows];
  const pixels = new Uint32Array(plane.cells.length);
  plane.cells.forEach((patch, cell) => {
    if (patch < 0) pixels[cell] = ground;
    else pixels[cell] = within && !within[patch] ? DIM : (colours?.[patch] ?? 0);
  });
  const data = new ImageData(new Uint8ClampedArray(pixels.buffer), plane.columns, plane.rows);
  canvas.getContext("2d")?.putImageData(data, 0, 0);
  return canvas;
}

const held = new WeakMap<Space, Map<string, Mark[]>>();

function marksOf(space: Space, arrangement: Arrangement): Mark[] {
  const known = held.get(space) ?? new Map<string, Mark[]>();
  held.set(space, known);
  let marks = known.get(arrangement);
  if (marks === undefined) {
    marks = arrangement === "one" ? space.shard.regions.map((region) => cellMark(space, region)) : outlineMarks(space);
    known.set(arrangement, marks);
  }
  return marks;
}

function cellMark(space: Space, region: Space["shard"]["regions"][number]): Mark {
  const plane = planeOf(space, "one");
  const cells = cellsWithin(plane, flags(Int32Array.from(region.members), space.count));
  const cell = plane.cellOf[region.centre]!;
  const at: Corner = [(cell % plane.columns) + 0.5, Math.floor(cell / plane.columns) + 0.5];
  return { number: region.number, edges: edgesOf(cells, plane.rows, plane.columns), corners: null, at };
}

function outlineMarks(space: Space): Mark[] {
  const { x, y } = space.places.fill;
  return space.shard.regions.map((region) => {
    const at: Corner = [x[region.centre]!, y[region.centre]!];
    return { number: region.number, edges: null, corners: region.outline, at };
  });
}

const sorted = new WeakMap<Space, Buckets>();

function bucketsOf(space: Space, plane: Plane): Buckets {
  const known = sorted.get(space);
  if (known !== undefined) return known;
  const cellAt = (patch: number) => {
    const row = Math.min(Math.max(Math.floor(space.places.fill.y[patch]!), 0), plane.rows - 1);
    const column = Math.min(Math.max(Math.floor(space.places.fill.x[patch]!), 0), plane.columns - 1);
    return row * plane.columns + column;
  };
  const starts = new Int32Array(plane.rows * plane.columns + 1);
  for (let patch = 0; patch < space.count; patch++) starts[cellAt(patch) + 1]!++;
  for (let cell = 0; cell < starts.length - 1; cell++) starts[cell + 1]! += starts[cell]!;
  const next = starts.slice();
  const patches = new Int32Array(space.count);
  for (let patch = 0; patch < space.count; patch++) patches[next[cellAt(patch)]!++] = patch;
  const found = { starts, patches };
  sorted.set(space, found);
  return found;
}
