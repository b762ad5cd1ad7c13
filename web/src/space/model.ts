// A layer's space as the page uses it: all arrays of its shard, unpacked.
import type { LayerData, NetworkData, PlaneData, SpaceShard } from "../data";
import { load, unpack } from "../shards";
import { layer as layerOf, network as networkOf } from "../state";
import { type Places, placesOfCells, placesOfPoints } from "./regions";
import type { Arrangement, Drawn } from "../address";

/** One arrangement's plane. */
export interface Plane {
  name: "fill" | "one-to-one";
  data: PlaneData;
  rows: number;
  columns: number;
  /** Patch of each cell, -1: none. */
  cells: Int32Array;
  /** A cell that shows each patch, -1: none does. */
  cellOf: Int32Array;
}

export interface Space {
  network: NetworkData;
  layer: LayerData;
  shard: SpaceShard;
  count: number;
  picture: Int32Array;
  row: Int32Array;
  column: Int32Array;
  /** (N, 4): top, left, bottom, right. */
  boxes: Int32Array;
  order: Int32Array;
  histogram: Int32Array;
  planes: { one: Plane | null; fill: Plane };
  /** Where patches stand on the plane of cells, and as points. */
  places: { one: Places | null; fill: Places };
}

const KEPT = 4; // spaces of 100,000 patches take some 10 MB each
const held = new Map<string, Promise<Space>>();

/** The space of a layer; rejects if its shard cannot be read. */
export function loadSpace(network: string, layer: string): Promise<Space> {
  const key = `${network}\n${layer}`;
  const space = held.get(key) ?? read(network, layer);
  held.delete(key);
  held.set(key, space);
  space.catch(() => held.delete(key));
  for (const oldest of held.keys()) if (held.size > KEPT) held.delete(oldest);
  return space;
}

async function read(networkName: string, layerName: string): Promise<Space> {
  const [network, layer] = [networkOf(networkName), layerOf(networkName, layerName)];
  if (network === undefined || layer === undefined) throw new Error(`${networkName} has no layer ${layerName}`);
  const shard = await load<SpaceShard>(`${folderOf(network, layer)}/space`);
  const ints = async (name: "picture" | "row" | "column" | "boxes") => (await unpack(shard[name])) as Int32Array;
  const [picture, row, column, boxes] = await Promise.all([ints("picture"), ints("row"), ints("column"), ints("boxes")]);
  const points = (await unpack(shard.points)) as Float32Array;
  const order = (await unpack(shard.activations.order)) as Int32Array;
  const histogram = (await unpack(shard.activations.histogram)) as Int32Array;
  const fill = (await readPlane("fill", shard)) as Plane;
  const one = await readPlane("one-to-one", shard);
  const places = {
    one: one && placesOfCells(one.cells, one.columns, shard.patches),
    fill: placesOfPoints(points, shard.grid),
  };
  const arrays = { picture, row, column, boxes, order, histogram };
  return { network, layer, shard, count: shard.patches, ...arrays, planes: { one, fill }, places };
}

async function readPlane(name: Plane["name"], shard: SpaceShard): Promise<Plane | null> {
  const data = shard.planes[name];
  if (data === undefined) return null;
  const cells = (await unpack(data.cells)) as Int32Array;
  const [rows, columns] = data.cells.shape as [number, number];
  const cellOf = new Int32Array(shard.patches).fill(-1);
  for (let cell = cells.length - 1; cell >= 0; cell--) if (cells[cell]! >= 0) cellOf[cells[cell]!] = cell;
  return { name, data, rows, columns, cells, cellOf };
}

/** Where the shards of a layer are, below data/. */
export function folderOf(network: NetworkData, layer: LayerData): string {
  return `${network.folder}/layers/${layer.folder}`;
}

/** The arrangement to look at first. */
export function firstOf(space: Space): Arrangement {
  return space.planes.one !== null && space.shard.first === "one-to-one" ? "one" : "fill";
}

/** On which plane outlines lie that are drawn over an arrangement. */
export function drawnOn(arrangement: Arrangement): Drawn {
  return arrangement === "one" ? "one" : "fill";
}

export function planeOf(space: Space, arrangement: Arrangement): Plane {
  return (arrangement === "one" && space.planes.one) || space.planes.fill;
}

export function placesOn(space: Space, drawn: Drawn): Places {
  return (drawn === "one" && space.places.one) || space.places.fill;
}

/** The patch at a place of an arrangement, -1: none. `reach`: how far from a point it may be, in cells. */
export function patchAt(space: Space, arrangement: Arrangement, x: number, y: number, reach: number): number {
  if (arrangement === "points") return nearestPoint(space, x, y, reach);
  const { rows, columns, cells } = planeOf(space, arrangement);
  const [row, column] = [Math.floor(y), Math.floor(x)];
  return row >= 0 && column >= 0 && row < rows && column < columns ? cells[row * columns + column]! : -1;
}

function nearestPoint(space: Space, x: number, y: number, reach: number): number {
  const places = space.places.fill;
  let [best, least] = [-1, reach * reach];
  for (let patch = 0; patch < space.count; patch++) {
    const far = (places.x[patch]! - x) ** 2 + (places.y[patch]! - y) ** 2;
    if (far <= least) [best, least] = [patch, far];
  }
  return best;
}

/** The patches nearest to one on a plane, itself left out, the nearest first. */
export function besides(space: Space, drawn: Drawn, patch: number, most: number): number[] {
  const { x, y } = placesOn(space, drawn);
  const far = (other: number) => (x[other]! - x[patch]!) ** 2 + (y[other]! - y[patch]!) ** 2;
  return nearestOf(space.count, far, patch, most);
}

/** The patches for which `far` is least, `self` left out, equals by number. */
export function nearestOf(count: number, far: (patch: number) => number, self: number, most: number): number[] {
  const found: [number, number][] = [];
  for (let patch = 0; patch < count; patch++) {
    if (patch === self) continue;
    const distance = far(patch);
    if (found.length === most && distance >= found[most - 1]![0]) continue;
    const at = found.findIndex(([other]) => other > distance);
    found.splice(at < 0 ? found.length : at, 0, [distance, patch]);
    if (found.length > most) found.pop();
  }
  return found.map(([, patch]) => patch);
}
