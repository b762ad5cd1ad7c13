// Activations of patches, in levels: rows (a patch, all channels) and columns (a channel, all patches) of a space.
import type { Packed } from "../data";
import { load, unpack } from "../shards";
import { contrasts, count, LEVELS, type Contrast } from "./contrast";
import { folderOf, nearestOf, type Space } from "./model";

/** How many patches a shard of rows has: the last has the rest. */
function patchesOf(space: Space, number: number): number {
  const { rows } = space.shard.activations;
  return Math.min(rows, space.count - number * rows);
}

async function part(space: Space, kind: "rows" | "columns", number: number): Promise<Uint8Array> {
  const packed = await load<Packed>(`${folderOf(space.network, space.layer)}/${kind}/${number}`);
  return (await unpack(packed)) as Uint8Array;
}

/** The levels of all channels at one patch. */
export async function levelsAt(space: Space, patch: number): Promise<Uint8Array> {
  const { rows, channels } = space.shard.activations;
  const place = space.order[patch]!;
  const number = Math.floor(place / rows);
  const values = await part(space, "rows", number);
  const patches = patchesOf(space, number);
  return Uint8Array.from({ length: channels }, (_, channel) => values[channel * patches + (place % rows)]!);
}

/** The levels of one channel at all patches. */
export async function levelsOf(space: Space, channel: number): Promise<Uint8Array> {
  const { columns } = space.shard.activations;
  const values = await part(space, "columns", Math.floor(channel / columns));
  const start = (channel % columns) * space.count;
  return Uint8Array.from(space.order, (place) => values[start + place]!);
}

/** All filters of some patches against those elsewhere, by channel. `going` false: nobody wants it any more. */
export async function contrastsOf(space: Space, members: Int32Array, going: () => boolean): Promise<Contrast[] | null> {
  const { rows, channels, scale } = space.shard.activations;
  const parts = new Map<number, number[]>();
  for (const patch of members) {
    const place = space.order[patch]!;
    const number = Math.floor(place / rows);
    const own = parts.get(number);
    if (own === undefined) parts.set(number, [place % rows]);
    else own.push(place % rows);
  }
  const here = new Int32Array(channels * LEVELS);
  for (const [number, own] of parts) {
    const values = await part(space, "rows", number);
    if (!going()) return null;
    count(values, own, patchesOf(space, number), channels, here);
  }
  return contrasts(here, space.histogram, scale, members.length, space.count);
}

/** How many values all rows hold: what `alike` has to read. */
export function valuesOf(space: Space): number {
  return space.count * space.shard.activations.channels;
}

/** The patches whose activations are nearest to one's, the nearest first, by levels. Reads all rows. */
export async function alike(space: Space, patch: number, most: number): Promise<number[]> {
  const { rows, scale } = space.shard.activations;
  const own = await levelsAt(space, patch);
  const squares = scale.map((unit) => unit * unit);
  const far = new Float64Array(space.count);
  for (let number = 0; number * rows < space.count; number++) {
    const values = await part(space, "rows", number);
    distances(values, own, squares, far.subarray(number * rows, number * rows + patchesOf(space, number)));
  }
  return nearestOf(space.count, (other) => far[space.order[other]!]!, patch, most);
}

/** Squared distances of the patches of a shard to one of these levels. */
function distances(values: Uint8Array, own: Uint8Array, squares: number[], into: Float64Array): void {
  for (let channel = 0; channel < own.length; channel++)
    for (let at = 0; at < into.length; at++) {
      const apart = values[channel * into.length + at]! - own[channel]!;
      into[at]! += apart * apart * squares[channel]!;
    }
}
