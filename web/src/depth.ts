// One axis for everything that runs over depth: columns of layers, in which each network's layers stand.
import type { LayerData, NetworkData } from "./data";
import { alignByDepth, alignByField, reach } from "./geometry";

/** What stands in one column of a network: a layer, or a block of several, shown by its last. */
export interface Entry {
  layer: LayerData;
  /** Layers that it stands for; one where nothing is folded. */
  layers: LayerData[];
  column: number;
}

/** Neighbouring entries of one block, from column `first` to `last`. */
export interface Bracket {
  block: string;
  first: number;
  last: number;
  layers: number;
  folded: boolean;
}

export interface Lane {
  network: NetworkData;
  entries: Entry[];
}

export interface Depth {
  columns: number;
  /** In the order of the study. */
  lanes: Lane[];
  /** Of the network whose layers give the columns. */
  brackets: Bracket[];
  /** That network. */
  deepest: NetworkData;
}

/** Neighbouring layers of one block. */
export function blocksOf(network: NetworkData): LayerData[][] {
  const blocks: LayerData[][] = [];
  for (const layer of network.layers) {
    const last = blocks[blocks.length - 1];
    if (last !== undefined && last[0]?.block === layer.block) last.push(layer);
    else blocks.push([layer]);
  }
  return blocks;
}

/** How a network's block is named where folds are kept. */
export function foldName(network: NetworkData, block: string): string {
  return `${network.name}/${block}`;
}

type Group = { layers: LayerData[]; block: string };

/** Layers one by one, those of folded blocks together; all blocks are folded where more than `most` would stand. */
function groupsOf(network: NetworkData, folded: ReadonlySet<string>, most: number): Group[] {
  const blocks = blocksOf(network);
  const every = blocks.flatMap((layers) => {
    const block = layers[0]?.block ?? "";
    return folded.has(foldName(network, block)) ? [{ layers, block }] : layers.map((one) => ({ layers: [one], block }));
  });
  return every.length <= most ? every : blocks.map((layers) => ({ layers, block: layers[0]?.block ?? "" }));
}

function last(group: Group): LayerData {
  return group.layers[group.layers.length - 1] as LayerData;
}

function bracketsOf(groups: Group[]): Bracket[] {
  const brackets: Bracket[] = [];
  groups.forEach(({ block, layers }, at) => {
    const open = brackets[brackets.length - 1];
    if (open !== undefined && open.block === block) Object.assign(open, { last: at, layers: open.layers + layers.length });
    else brackets.push({ block, first: at, last: at, layers: layers.length, folded: layers.length > 1 });
  });
  return brackets;
}

/** Lays out networks over columns, at most about `most` where blocks can fold. */
export function layOut(
  networks: NetworkData[],
  folded: ReadonlySet<string>,
  align: "field" | "depth",
  most = 40,
): Depth | null {
  const groups = networks.map((network) => groupsOf(network, folded, most));
  const width = Math.max(...groups.map((one) => one.length), 0);
  const base = groups.findIndex((one) => one.length === width);
  if (width === 0) return null;
  const columns = (groups[base] as Group[]).map((group) => reach(last(group)));
  const lanes = networks.map((network, at) => {
    const own = groups[at] as Group[];
    const reaches = own.map((group) => reach(last(group)));
    const places = align === "field" ? alignByField(columns, reaches) : alignByDepth(width, own.length);
    const entries = own.map((group, k) => ({ layer: last(group), layers: group.layers, column: places[k] ?? k }));
    return { network, entries };
  });
  return { columns: width, lanes, brackets: bracketsOf(groups[base] as Group[]), deepest: networks[base] as NetworkData };
}

/** The entry of a lane that shows a layer, itself or in its block. */
export function entryOf(lane: Lane, layer: string): Entry | undefined {
  return lane.entries.find((entry) => entry.layers.some((one) => one.name === layer));
}

/** The entry that stands nearest a column. */
export function nearest(lane: Lane, column: number): Entry | undefined {
  const far = (entry: Entry) => Math.abs(entry.column - column);
  return lane.entries.reduce<Entry | undefined>((best, one) => (best && far(best) <= far(one) ? best : one), undefined);
}

/** Whether a layer's channels are made by filters of weights. */
export function hasWeights(layer: LayerData): boolean {
  return layer.kind.startsWith("conv") || layer.kind === "linear";
}
