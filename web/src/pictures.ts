// Pictures of the study by their number: names, classes, predictions; read from shards of many rows.
import type { PicturesShard } from "./data";
import { load, useLoaded, type Loaded } from "./shards";
import { study } from "./state";

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

async function rowsOf(pictures: number[]): Promise<Map<number, PictureRow>> {
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
  const { count, shard } = study().pictures;
  const rows: PictureRow[] = [];
  for (let start = 0; start < count; start += shard) {
    const value = await load<PicturesShard>(shardPath(start));
    for (let picture = start; picture < Math.min(start + shard, count); picture++) rows.push(rowOf(value, picture));
    told(rows);
  }
  return rows;
}

/** Name of a class; its number where it has none. */
export function className(label: number): string {
  return study().pictures.classes?.[label] ?? `class ${label}`;
}

/** Name of a network's output. */
export function outputName(outputs: string[], output: number): string {
  return outputs[output] ?? `output ${output}`;
}

/** Whether a network's first output is the right one; null: it predicts nothing, or the answer is unknown. */
export function isRight(row: PictureRow, network: string): boolean | null {
  const prediction = row.predictions[network];
  if (prediction === undefined || prediction.answer === null) return null;
  return prediction.outputs[0] === prediction.answer;
}

/** What differs between networks that answer: their first outputs, by name where they have names. */
export function differ(row: PictureRow): boolean {
  const firsts = study().networks.flatMap(({ name, outputs }) => {
    const first = row.predictions[name]?.outputs[0];
    return first === undefined ? [] : [outputName(outputs, first)];
  });
  return new Set(firsts).size > 1;
}
