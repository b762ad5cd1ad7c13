// Pictures of the study by their number: names, classes, predictions; read from shards of many rows.
import type { PicturesIndex, PicturesShard } from "./data";
import { load, unpack, unpackAll, useLoaded, type Loaded, type Unpacked } from "./shards";
import { study, walled } from "./state";
import { count } from "./words";

export interface Prediction {
  outputs: number[];
  probabilities: (number | null)[];
  /** The class of the right output, where it is known. */
  answer: number | null;
}

export interface PictureRow {
  picture: number;
  name: string;
  /** Number of its class; null: unknown. */
  label: number | null;
  /** Why it was left out; null: it was not. */
  reason: string | null;
  /** By the network's name. */
  predictions: Record<string, Prediction>;
}

function shardPath(picture: number): string {
  return `pictures/${Math.floor(picture / study().pictures.shard)}`;
}

function rowOf(shard: PicturesShard, picture: number): PictureRow {
  const place = picture % study().pictures.shard;
  const label = shard.labels?.[place] ?? -1;
  const predictions = Object.entries(shard.predictions).map(([network, all]): [string, Prediction] => [
    network,
    { outputs: all.outputs[place] ?? [], probabilities: all.probabilities[place] ?? [], answer: all.answers[place] ?? null },
  ]);
  return {
    picture,
    name: shard.names[place] ?? `picture ${picture}`,
    label: label < 0 ? null : label,
    reason: shard.reasons[String(place)] ?? null,
    predictions: Object.fromEntries(predictions.filter(([, one]) => one.outputs.length > 0)),
  };
}

/** What is known of some pictures, by number. */
export async function rowsOf(pictures: number[]): Promise<Map<number, PictureRow>> {
  const wanted = [...new Set(pictures)].filter((picture) => picture >= 0 && picture < study().pictures.count);
  const shards = await Promise.all(wanted.map((picture) => load<PicturesShard>(shardPath(picture))));
  return new Map(wanted.map((picture, at) => [picture, rowOf(shards[at] as PicturesShard, picture)]));
}

/** What is known of pictures, by number. */
export function usePictures(pictures: number[]): Loaded<Map<number, PictureRow>> {
  return useLoaded(pictures.join(" "), () => rowsOf(pictures));
}

/** Rows of all pictures, read shard by shard; `told` hears of what is there so far. */
export async function allPictures(told: (rows: PictureRow[]) => void = () => undefined): Promise<PictureRow[]> {
  const { count: total, shard } = study().pictures;
  const rows: PictureRow[] = [];
  for (let start = 0; start < total; start += shard) {
    const value = await load<PicturesShard>(shardPath(start));
    for (let picture = start; picture < Math.min(start + shard, total); picture++) rows.push(rowOf(value, picture));
    told(rows);
  }
  return rows;
}

/** The pictures before and after one, on the wall that was looked at last if it is there, else of all. */
export function beside(picture: number): { before: number | null; after: number | null; words: string } {
  const wall = walled.value;
  const place = wall?.indexOf(picture) ?? -1;
  if (wall !== null && place >= 0)
    return { before: wall[place - 1] ?? null, after: wall[place + 1] ?? null, words: `${count(place + 1)} of the ${count(wall.length)} chosen` };
  const last = study().pictures.count - 1;
  return { before: picture > 0 ? picture - 1 : null, after: picture < last ? picture + 1 : null, words: "" };
}

/** Name of a class; its number where it has none. */
export function className(label: number): string {
  return study().pictures.classes?.[label] ?? `class ${label}`;
}

/** Classes that have pictures, by number. */
export function heldClasses(): number[] {
  return (study().pictures.sizes ?? []).flatMap((size, label) => (size > 0 ? [label] : []));
}

/** Name of a network's output. */
export function outputName(outputs: string[], output: number): string {
  return outputs[output] ?? `output ${output}`;
}

/** What all pictures are found by. */
export interface Index {
  /** The class of each picture, -1: unknown; null without labels. */
  labels: Unpacked | null;
  /** By the network's name: its first output, and the right one; -1: none, or unknown. */
  first: Record<string, Unpacked>;
  right: Record<string, Unpacked>;
  differing: Unpacked | null;
}

async function readIndex(): Promise<Index> {
  const { labels, first, right, differing } = await load<PicturesIndex>("pictures/index");
  const maybe = (packed: PicturesIndex["labels"]) => (packed === null ? null : unpack(packed));
  return { labels: await maybe(labels), first: await unpackAll(first), right: await unpackAll(right), differing: await maybe(differing) };
}

/** The index of all pictures, one shard, once it is needed. */
export function useIndex(needed = true): Loaded<Index> {
  return useLoaded(needed ? "index" : null, readIndex);
}

