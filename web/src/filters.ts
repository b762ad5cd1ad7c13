// A layer's filters: their shard with its arrays decoded, their order, and where their pictures lie.
import type { FilterShard, LayerData, NetworkData, SpaceShard } from "./data";
import { boxAt, type Box } from "./geometry";
import { hasWeights } from "./depth";
import { load, unpack, unpackAll, url, useLoaded, type Loaded, type Unpacked } from "./shards";
import { withoutZeros } from "./top";

/** Strongest patches shown of one filter. */
export const SHOWN = 9;

export interface LayerFilters {
  shard: FilterShard;
  top: Record<"picture" | "row" | "column" | "value", Unpacked>;
  boxes: Unpacked | null;
  white: Unpacked | null;
  histogram: Unpacked | null;
  /** Patches kept of each filter. */
  ranks: number;
  shown: ReadonlySet<number> | "all";
  drawn: ReadonlySet<number> | "all";
}

/** One of a filter's strongest patches. */
export interface TopPatch {
  rank: number;
  picture: number;
  row: number;
  column: number;
  value: number;
  /** What the unit sees; null: unknown. */
  field: Box | null;
  /** What white means in its reconstruction; null: it is not drawn. */
  white: number | null;
}

async function decode(shard: FilterShard): Promise<LayerFilters> {
  const maybe = (packed: FilterShard["boxes"]) => (packed === null ? null : unpack(packed));
  const [top, boxes, white, histogram] = await Promise.all([
    unpackAll(shard.top),
    maybe(shard.boxes),
    maybe(shard.white),
    maybe(shard.histogram),
  ]);
  const ranks = shard.top.picture.shape[1] ?? 0;
  withoutZeros(top, boxes, ranks);
  const some = (channels: number[] | "all") => (channels === "all" ? channels : new Set(channels));
  return { shard, top, boxes, white, histogram, ranks, shown: some(shard.shown), drawn: some(shard.drawn) };
}

export function filtersPath(network: NetworkData, layer: LayerData): string {
  return `${network.folder}/layers/${layer.folder}/filters`;
}

/** The filters of a layer, as they come; of null, nothing. */
export function useFilters(network: NetworkData | undefined, layer: LayerData | undefined): Loaded<LayerFilters> {
  const path = network && layer?.filters ? filtersPath(network, layer) : null;
  return useLoaded(path, () => load<FilterShard>(path as string).then(decode));
}

/** The space of a layer, where it has one. */
export function useSpaceOf(network: NetworkData | undefined, layer: LayerData | undefined): Loaded<SpaceShard> {
  const path = network && layer?.space ? `${network.folder}/layers/${layer.folder}/space` : null;
  return useLoaded(path, () => load<SpaceShard>(path as string));
}

/** A filter's strongest patches, strongest first; [] for one that never fires. */
export function topPatches(filters: LayerFilters, channel: number, most = SHOWN): TopPatch[] {
  const patches: TopPatch[] = [];
  for (let rank = 0; rank < Math.min(filters.ranks, most); rank++) {
    const at = channel * filters.ranks + rank;
    const picture = filters.top.picture[at] ?? -1;
    if (picture < 0) break;
    patches.push({
      rank,
      picture,
      row: filters.top.row[at] ?? 0,
      column: filters.top.column[at] ?? 0,
      value: filters.top.value[at] ?? 0,
      field: filters.boxes && boxAt(filters.boxes, at),
      white: isDrawn(filters, channel) ? whiteOf(filters, channel, rank) : null,
    });
  }
  return patches;
}

function whiteOf({ shard, white }: LayerFilters, channel: number, rank: number): number | null {
  const ranks = shard.white?.shape[1] ?? 0;
  return rank < ranks ? (white?.[channel * ranks + rank] ?? null) : null;
}

/** How the panels of a filter's picture stand in it; null: it has none. */
export function panelOf({ shard, shown }: LayerFilters, channel: number): FilterShard["panel"] {
  return shown === "all" || shown.has(channel) ? shard.panel : null;
}

export function isDrawn(filters: LayerFilters, channel: number): boolean {
  return filters.shard.panel !== null && (filters.drawn === "all" || filters.drawn.has(channel));
}

/** Whether reconstructions from a layer can be drawn: false where the network's rule is known not to go back from it. */
export function goesBack(network: NetworkData, layer: LayerData): boolean {
  return network.rule === "" || layer.reconstructions;
}

export function drawnCount(filters: LayerFilters): number {
  if (filters.shard.panel === null) return 0;
  return filters.drawn === "all" ? filters.shard.channels : filters.drawn.size;
}

/** Share of positions at which a filter is above zero; null: not counted. */
export function fires({ shard, histogram }: LayerFilters, channel: number): number | null {
  const { edges, zeros, count } = shard;
  const total = count[channel] ?? 0;
  if (histogram === null || total === 0) return typeof zeros[channel] === "number" ? 1 - zeros[channel] : null;
  let above = 0;
  for (let bin = 0; bin < edges.length - 1; bin++)
    if ((edges[bin] ?? -1) >= 0 && (edges[bin + 1] ?? Infinity) > 0) above += histogram[channel * (edges.length - 1) + bin] ?? 0;
  return above / total;
}

export function filterPicture(network: NetworkData, layer: LayerData, shard: FilterShard, channel: number): string {
  return url(`${network.folder}/filters/${layer.folder}/${channel}${shard.panel?.ending ?? ".jpg"}`);
}

export type Sort = "max" | "rare" | "number" | "region";

/** All channels in an order; `region`: those of most contrast in a region, first. Ties stand by number. */
export function order(filters: LayerFilters, sort: Sort, region: number[] = []): number[] {
  const { max, channels } = filters.shard;
  const key = (channel: number): number => {
    if (sort === "max") return -(max[channel] ?? 0);
    if (sort === "rare") return (fires(filters, channel) ?? 0) + ((max[channel] ?? 0) > 0 ? 0 : 2);
    if (sort === "region") return region.includes(channel) ? region.indexOf(channel) - region.length : -(max[channel] ?? 0) / 1e30;
    return channel;
  };
  return Array.from({ length: channels }, (_, channel) => channel).sort((a, b) => key(a) - key(b) || a - b);
}

/** The layer whose filters are shown where none is named: one with a plane, else the middle one with weights. */
export function firstLayer(network: NetworkData): LayerData | undefined {
  const layers = network.layers.filter((layer) => layer.filters);
  const weighty = layers.filter(hasWeights);
  return layers.find((layer) => layer.space) ?? weighty[Math.floor(weighty.length / 2)] ?? layers[0];
}
