// Tiles of a plane's pyramid, and pictures of single patches cut from the lowest of them.
import { fetchImage } from "../images";
import { url } from "../shards";
import type { Plane, Space } from "./model";

/** The highest level of a plane's pyramid. */
export function topLevel(plane: Plane): number {
  return Math.ceil(Math.log2(Math.max(plane.data.width, plane.data.height, 1)));
}

export function tileUrl(space: Space, plane: Plane, level: number, x: number, y: number): string {
  const folder = `${space.network.folder}/spaces/${space.layer.folder}`;
  return url(`${folder}/${plane.name}_files/${level}/${x}_${y}.jpg`);
}

/** Where a patch's picture is: the one-to-one plane has them all. */
export function cellOf(space: Space, patch: number): { plane: Plane; cell: number } | null {
  for (const plane of [space.planes.one, space.planes.fill]) {
    const cell = plane?.cellOf[patch] ?? -1;
    if (plane && cell >= 0) return { plane, cell };
  }
  return null;
}

/** A part of a tile, and where it lies in the cell of a patch, in shares of its side. */
interface TilePart {
  address: string;
  from: [number, number];
  size: [number, number];
  to: [number, number];
  span: [number, number];
}

/** Parts of tiles that a patch's picture is made of. */
export function partsOf(space: Space, patch: number): TilePart[] {
  const place = cellOf(space, patch);
  if (place === null) return [];
  const { cell: side, tile } = place.plane.data;
  const level = topLevel(place.plane);
  const left = (place.cell % place.plane.columns) * side;
  const top = Math.floor(place.cell / place.plane.columns) * side;
  return spans(top, side, tile).flatMap((down) =>
    spans(left, side, tile).map((across) => ({
      address: tileUrl(space, place.plane, level, across.tile, down.tile),
      from: [across.from, down.from] as [number, number],
      size: [across.size, down.size] as [number, number],
      to: [across.to / side, down.to / side] as [number, number],
      span: [across.size / side, down.size / side] as [number, number],
    })),
  );
}

function spans(start: number, length: number, tile: number): { tile: number; from: number; to: number; size: number }[] {
  const found = [];
  for (let at = start; at < start + length; ) {
    const end = Math.min(start + length, (Math.floor(at / tile) + 1) * tile);
    found.push({ tile: Math.floor(at / tile), from: at % tile, to: at - start, size: end - at });
    at = end;
  }
  return found;
}

/** Draws a patch's picture into a square of a canvas; false: no plane shows it. */
export async function drawPatch(context: CanvasRenderingContext2D, space: Space, patch: number, side: number): Promise<boolean> {
  const parts = partsOf(space, patch);
  const loaded = await Promise.all(parts.map(({ address }) => fetchImage(address)));
  parts.forEach(({ from, to, size, span }, n) => {
    const [x, y] = [Math.round(to[0] * side), Math.round(to[1] * side)];
    const [right, bottom] = [Math.round((to[0] + span[0]) * side), Math.round((to[1] + span[1]) * side)];
    context.drawImage(loaded[n]!, from[0], from[1], size[0], size[1], x, y, right - x, bottom - y);
  });
  return parts.length > 0;
}

const MOST = 64; // tiles that are at hand to be drawn in the same frame
const ready = new Map<string, HTMLImageElement | null>();

/** A tile if it is there; if not it is fetched, and `again` called. */
function tileNow(address: string, again: () => void): HTMLImageElement | null {
  const known = ready.get(address);
  if (known !== undefined) return known;
  ready.set(address, null);
  for (const oldest of ready.keys()) if (ready.size > MOST) ready.delete(oldest);
  fetchImage(address).then((found) => {
    ready.set(address, found);
    again();
  }, () => undefined); // asked for again when it has left the map
  return null;
}

/** Paints a patch's picture at left, top, side, as far as its tiles are there. */
export function paintPatch(context: CanvasRenderingContext2D, space: Space, patch: number, at: readonly [number, number, number], again: () => void): void {
  const [left, top, side] = at;
  for (const { address, from, to, size, span } of partsOf(space, patch)) {
    const tile = tileNow(address, again);
    if (tile) context.drawImage(tile, from[0], from[1], size[0], size[1], left + to[0] * side, top + to[1] * side, span[0] * side, span[1] * side);
  }
}
