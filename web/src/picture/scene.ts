// What the page of a picture is about at a moment: the chosen layer, the column it stands in, the pixel looked at.
import type { PictureRoute } from "../address";
import type { LayerData, NetworkData } from "../data";
import { entryOf, layOut, nearest, type Depth, type Entry, type Lane } from "../depth";
import { centreOf, unitAt, unitBox, type Box } from "../geometry";
import { layer as layerOf, network as networkOf, study } from "../state";

export interface Scene {
  route: PictureRoute;
  picture: number;
  depth: Depth;
  /** Of the chosen layer. */
  network: NetworkData;
  layer: LayerData;
  lane: Lane;
  entry: Entry;
  /** Size of the chosen network's input. */
  height: number;
  width: number;
  /** Row and column of the pinned pixel: the centre of the pinned unit's field, else of the picture. */
  pinned: [number, number];
  /** Whether large pictures and reconstructions are there. */
  large: boolean;
}

/** The layer looked at where the address names none: one with a plane, else the middle of the deepest network. */
function firstLayer(depth: Depth): { network: NetworkData; layer: LayerData } | null {
  const all = depth.lanes.flatMap(({ network }) => network.layers.map((layer) => ({ network, layer })));
  const { entries, network } = depth.lanes.find((lane) => lane.network === depth.deepest) as Lane;
  const middle = entries[Math.floor(entries.length / 2)]?.layer;
  return all.find(({ layer }) => layer.space) ?? (middle ? { network, layer: middle } : null);
}

export function sceneOf(route: PictureRoute): Scene | null {
  const depth = layOut(study().networks, new Set(), route.align);
  if (depth === null) return null;
  const network = route.layer && networkOf(route.layer.network);
  const layer = route.layer && layerOf(route.layer.network, route.layer.layer);
  const chosen = network && layer ? { network, layer } : firstLayer(depth);
  const lane = depth.lanes.find((one) => one.network === chosen?.network);
  const entry = chosen && lane && entryOf(lane, chosen.layer.name);
  const size = chosen && study().views[chosen.network.view];
  if (!chosen || !lane || !entry || !size) return null;
  const { height, width } = size;
  const { field } = chosen.layer;
  const pinned = route.at && field ? centreOf(chosen.layer, route.at, height, width) : null;
  const centre: [number, number] = [Math.floor(height / 2), Math.floor(width / 2)];
  const large = study().pictures.chosen.includes(route.picture);
  return { route, picture: route.picture, depth, ...chosen, lane, entry, height, width, pinned: pinned ?? centre, large };
}

/** A pixel of the chosen network's input, in another network's. */
export function pixelIn(scene: Scene, other: NetworkData, [y, x]: [number, number]): [number, number] {
  const size = study().views[other.view];
  if (size === undefined || other.view === scene.network.view) return [y, x];
  return [Math.floor(((y + 0.5) / scene.height) * size.height), Math.floor(((x + 0.5) / scene.width) * size.width)];
}

/** The layer of a lane in the column of the chosen one, or nearest it. */
export function layerUnder(scene: Scene, lane: Lane): LayerData | undefined {
  return lane === scene.lane ? scene.layer : nearest(lane, scene.entry.column)?.layer;
}

/** What the unit of a layer that is nearest a pixel sees; null where its field is unknown. */
export function fieldAt(layer: LayerData, [y, x]: [number, number]): Box | null {
  return layer.field === null ? null : unitBox(layer.field, ...unitAt(layer, y, x));
}
