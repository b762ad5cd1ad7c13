// Two networks' shard as the page uses it: a map of layers, its ridge, and what of it is shown.
import type { CompareRoute } from "../address";
import type { Match, NetworkData, PairShard } from "../data";
import { hasWeights } from "../depth";
import { network as networkOf, study } from "../state";

export type Measure = CompareRoute["measure"];

export interface Pair {
  shard: PairShard;
  one: NetworkData;
  other: NetworkData;
}

export const MEASURES: Record<Measure, { label: string; title: string; what: string }> = {
  cka: { label: "CKA", title: "debiased linear CKA", what: "1: the same but for rotation and scale. About 0: no more alike than with pictures shuffled." },
  procrustes: { label: "Procrustes", title: "Procrustes similarity", what: "1: a rotation takes one to the other. Shuffled pictures do not give 0 here, so look at both." },
  neighbours: { label: "Neighbours", title: "shared nearest pictures", what: "Share of a picture's nearest pictures that both layers have." },
};

export function pairOf(shard: PairShard): Pair | null {
  const [one, other] = [networkOf(shard.one), networkOf(shard.other)];
  return one && other ? { shard, one, other } : null;
}

/** Where the shard of two networks is, below data/. */
export function pairPath(one: string, other: string): string | null {
  const [first, second] = [networkOf(one), networkOf(other)];
  const there = study().pairs.some((pair) => pair.one === one && pair.other === other);
  return first && second && there ? `compare/${first.folder}/${second.folder}/pair` : null;
}

/** Values of a measure, and what they are to be seen against, for a layer of either; null: there is none. */
export interface Value {
  value: number | null;
  low: number | null;
  high: number | null;
  control: number | null;
  share: number | null;
}

const NONE: Value = { value: null, low: null, high: null, control: null, share: null };

export function valueAt(shard: PairShard, measure: Measure, row: number, column: number): Value {
  const at = row * shard.columns.length + column;
  const of = (values: (number | null)[]) => values[at] ?? null;
  if (measure === "cka") return { value: of(shard.cka), low: of(shard.low), high: of(shard.high), control: of(shard.shuffled), share: of(shard.share) };
  if (measure === "procrustes") return { ...NONE, value: of(shard.procrustes), control: of(shard.procrustes_shuffled) };
  const near = shard.neighbours;
  return near === null ? NONE : { ...NONE, value: of(near.overlap), control: near.chance };
}

/** A map as it is drawn: its layers from left to right and from top to bottom, as indices of the shard. */
export interface Shape {
  /** Whether the columns are the layers of `one`. */
  turned: boolean;
  across: number[];
  down: number[];
}

/** Deeper networks run across, and down on a phone; pools are twins of their convolutions, and left out at first. */
export function shapeOf({ shard, one, other }: Pair, pools: boolean, phone: boolean): Shape {
  const kept = (names: string[], network: NetworkData) =>
    names.flatMap((name, at) => (pools || weighty(network, name) ? [at] : []));
  const [rows, columns] = [kept(shard.rows, one), kept(shard.columns, other)];
  const turned = rows.length >= columns.length !== phone;
  return turned ? { turned, across: rows, down: columns } : { turned, across: columns, down: rows };
}

function weighty(network: NetworkData, name: string): boolean {
  const layer = network.layers.find((one) => one.name === name);
  return layer === undefined || hasWeights(layer);
}

/** Row and column of the shard at a place of the drawn map. */
export function placeOf({ turned, across, down }: Shape, x: number, y: number): [number, number] {
  return turned ? [across[x]!, down[y]!] : [down[y]!, across[x]!];
}

/** For each layer of the deeper network (across, or down on a phone) the place of the most alike one; -1: none. */
export function ridgeOf(shard: PairShard, measure: Measure, shape: Shape, along: "across" | "down"): number[] {
  const [layers, others] = along === "across" ? [shape.across, shape.down] : [shape.down, shape.across];
  return layers.map((_, n) => {
    const values = others.map((_, m) => {
      const [row, column] = along === "across" ? placeOf(shape, n, m) : placeOf(shape, m, n);
      return valueAt(shard, measure, row, column).value ?? -Infinity;
    });
    const most = Math.max(...values);
    return Number.isFinite(most) ? values.indexOf(most) : -1;
  });
}

export type Listed = "matched" | "one" | "other";

/** Matches of two layers, or filters of one layer that have none. */
export function listed({ shard }: Pair, list: Listed, layer: string, otherLayer: string): Match[] {
  if (list === "matched") return shard.matched.filter((match) => match[0] === layer && match[2] === otherLayer);
  if (list === "one") return shard.unmatched.one.filter((match) => match[0] === layer);
  return shard.unmatched.other.filter((match) => match[2] === otherLayer);
}

/** ".73", "1.0", "−.03". */
export function short(value: number): string {
  const text = Math.abs(value).toFixed(2);
  return `${value <= -0.005 ? "−" : ""}${text.startsWith("0") ? text.slice(1) : text.slice(0, 3)}`;
}
