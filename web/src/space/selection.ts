// What an address chooses on a plane, as patches; and what was drawn, as an address has it.
import type { Arrangement, Chosen, Drawn } from "../address";
import { drawnOn, placesOn, planeOf, type Space } from "./model";
import { stepsOf } from "./polygons";
import { type Corner, inside, type Outline } from "./regions";

export interface Selection {
  /** Rising. */
  members: Int32Array;
  /** What was drawn, and on which plane; null: nothing was. */
  outline: Outline | null;
  on: Drawn;
}

/** The patches of what is chosen; null: all are alike. `labels`: class of each picture. */
export function selectionOf(
  space: Space,
  chosen: Chosen | null,
  arrangement: Arrangement,
  labels: ((picture: number) => number) | null,
): Selection | null {
  if (chosen === null || "patch" in chosen || "filter" in chosen) return null;
  const on = drawnOn(arrangement);
  if ("region" in chosen) return suggested(space, chosen.region, on);
  if ("box" in chosen || "poly" in chosen) return outlined(space, chosen, on);
  const wanted = "picture" in chosen
    ? (patch: number) => space.picture[patch] === chosen.picture
    : (patch: number) => labels?.(space.picture[patch]!) === chosen.class;
  return { members: where(space.count, wanted), outline: null, on };
}

function suggested(space: Space, number: number, on: Drawn): Selection | null {
  const region = space.shard.regions.find((one) => one.number === number);
  if (region === undefined) return null;
  const outline = on === "fill" && region.outline.length ? { corners: region.outline } : null;
  return { members: Int32Array.from(region.members), outline, on };
}

type Outlined = Extract<Chosen, { box: unknown } | { poly: unknown }>;

function outlined(space: Space, chosen: Outlined, shown: Drawn): Selection {
  const on = chosen.on ?? shown;
  const outline: Outline = "box" in chosen ? { box: chosen.box } : { corners: ofAddress(space, chosen.poly) };
  return { members: inside(placesOn(space, on), outline), outline, on };
}

export function where(count: number, wanted: (patch: number) => boolean): Int32Array {
  const found: number[] = [];
  for (let patch = 0; patch < count; patch++) if (wanted(patch)) found.push(patch);
  return Int32Array.from(found);
}

/** How many cells an address's unit is: more than one on planes longer than 512 cells. */
function unitOf(space: Space): number {
  const { rows, columns } = planeOf(space, "fill");
  return 8 / stepsOf(rows, columns);
}

function ofAddress(space: Space, corners: Corner[]): Corner[] {
  const unit = unitOf(space);
  return corners.map(([x, y]) => [x * unit, y * unit]);
}

/** What was drawn over an arrangement, as the address has it. */
export function chosenOf(space: Space, outline: Outline): Chosen {
  if ("box" in outline) return { box: outline.box };
  const unit = unitOf(space);
  return { poly: outline.corners.map(([x, y]) => [x / unit, y / unit]) };
}

/** The same choice seen on another arrangement: an outline stays on the plane it was drawn on. */
export function carried(chosen: Chosen | null, from: Arrangement, to: Arrangement): Chosen | null {
  if (chosen === null || !("box" in chosen || "poly" in chosen)) return chosen;
  const on = chosen.on ?? drawnOn(from);
  const { on: _, ...outline } = chosen;
  return on === drawnOn(to) ? outline : { ...outline, on };
}

/** Patches of another plane whose middles these patches hold, in their pictures. */
export function linked(from: Space, members: ArrayLike<number>, to: Space, sizes: { from: Size; to: Size }): Int32Array {
  const boxes = new Map<number, number[]>();
  for (let n = 0; n < members.length; n++) {
    const own = boxes.get(from.picture[members[n]!]!);
    if (own === undefined) boxes.set(from.picture[members[n]!]!, [members[n]!]);
    else own.push(members[n]!);
  }
  return where(to.count, (patch) => {
    const [y, x] = [0, 1].map((side) => (to.boxes[4 * patch + side]! + to.boxes[4 * patch + side + 2]!) / 2) as [number, number];
    const [down, across] = [(y * sizes.from.height) / sizes.to.height, (x * sizes.from.width) / sizes.to.width];
    return (boxes.get(to.picture[patch]!) ?? []).some((own) => holds(from.boxes, 4 * own, across, down));
  });
}

interface Size {
  height: number;
  width: number;
}

function holds(boxes: Int32Array, at: number, x: number, y: number): boolean {
  return boxes[at]! <= y && y <= boxes[at + 2]! && boxes[at + 1]! <= x && x <= boxes[at + 3]!;
}
