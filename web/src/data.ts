// What the pages are made of: the shards under data/, each a classic script that calls
// `layerscope.register(PATH, VALUE)` with its own path below data/, without ".js".
//
// Pictures lie beside them, at the places below; `folder` is a network's, `layer.folder` one of its layers':
//   pictures/thumbs/VIEW/SHEET.jpg          sheets of small pictures, by rows; a picture's cell is its number
//   pictures/large/VIEW/PICTURE.jpg         what the networks of a view see of a chosen picture
//   FOLDER/strips/PICTURE.jpg               all reconstructions of a chosen picture, a square each, in `strip` order
//   FOLDER/reconstructions/LAYER/PICTURE.jpg  one of them, as large as the input
//   FOLDER/filters/LAYER/CHANNEL.(jpg|png)  a filter: a row of patches; a row of reconstructions, where drawn
//   FOLDER/spaces/LAYER/ARRANGEMENT_files/LEVEL/COLUMN_ROW.jpg   tiles of a plane (Deep Zoom)
// Numbers in names have no leading zeros. Rows, columns, channels, pictures and ranks are counted from 0.

/** An array: base64 of little-endian bytes in raw DEFLATE. Decoded by `unpack`. */
export interface Packed {
  dtype: "u1" | "i2" | "i4" | "f4";
  shape: number[];
  data: string;
}

/** data/study.js: what every page needs at once; a few kB for each network. */
export interface StudyData {
  format: 4;
  /** Name of the study's folder, to be used in commands. */
  name: string;
  digest: string;
  /** Of layerscope. */
  version: string;
  /** Whether a live network answers (`layerscope serve`). */
  live: boolean;
  pictures: PicturesData;
  /** Different ways in which networks see pictures: sizes of their inputs. */
  views: { height: number; width: number }[];
  networks: NetworkData[];
  /** Pairs of networks that were compared. */
  pairs: PairName[];
  /** Findings of a comparison, by part: sentences with the numbers they show. */
  findings: { part: string; title: string; sentences: { text: string; holds: boolean | null; warns: boolean }[] }[];
}

export interface PicturesData {
  count: number;
  /** How many could not be read. */
  bad: number;
  /** Rows of one shard data/pictures/K.js. */
  shard: number;
  /** Names of the labels' classes; null: the pictures have no labels. */
  classes: string[] | null;
  /** How many pictures each of them has. */
  sizes: number[] | null;
  /** Pictures that are there large, with strips and reconstructions of the networks; rising. */
  chosen: number[];
  /** Small pictures; null: there are none. */
  thumbs: { side: number; columns: number; rows: number } | null;
  /** What makes what is missing: a command, or "". */
  command: string;
}

export interface NetworkData {
  /** As in addresses and commands. */
  name: string;
  /** As people write it, such as VGG-16. */
  title: string;
  folder: string;
  /** In words. */
  weights: string;
  trunk: boolean;
  view: number;
  /** Of reconstructions; "": none are drawn. */
  rule: string;
  /** What these do not know, as figures say it; "": nothing is said. */
  lost: string;
  layers: LayerData[];
  /** Side of a square of a strip, the layers whose squares it has, and how many stand in a row; null: there are no strips. */
  strip: { side: number; layers: string[]; columns: number } | null;
  /** Names of the outputs; [] where they have none. */
  outputs: string[];
  errors: { pictures: number; labelled: number; top1: number | null; top5: number | null; reason: string | null } | null;
}

export interface LayerData {
  name: string;
  folder: string;
  /** As torch calls its first operation: conv2d, max_pool2d, linear, ... */
  kind: string;
  operation: string;
  /** Null where axes are unknown. */
  channels: number | null;
  rows: number | null;
  columns: number | null;
  field: FieldData | null;
  /** What folds together: layers with equal words stand in one block. */
  block: string;
  /** Share of exact zeros, in [0, 1]; null: not counted. */
  sparsity: number | null;
  dead: number | null;
  /** Whether there is a shard of filters, and one of its space. */
  filters: boolean;
  space: boolean;
  /** Whether reconstructions of the chosen pictures are there. */
  reconstructions: boolean;
}

/** Receptive field in pixels of the input, rows before columns; start: centre of the first position's. */
export interface FieldData {
  size: [number, number];
  stride: [number, number];
  start: [number, number];
}

export interface PairName {
  one: string;
  other: string;
}

/** data/pictures/K.js: pictures from K times `shard` on. */
export interface PicturesShard {
  names: string[];
  /** Index into `classes`; -1: unknown. Null without labels. */
  labels: number[] | null;
  /** Why a picture was left out, by its number in the shard. */
  reasons: Record<string, string>;
  /** By the network's name: its first five, most probable first. Absent: it predicts nothing. */
  predictions: Record<string, { outputs: number[][]; probabilities: number[][]; answers: (number | null)[] }>;
}

/** data/pictures/index.js: what all pictures are found by, each by its number. */
export interface PicturesIndex {
  /** Index into `classes`; -1: unknown. Null without labels. */
  labels: Packed | null;
  /** By the network's name: its first output, and the right one; -1: none, or unknown. */
  first: Record<string, Packed>;
  right: Record<string, Packed>;
  /** 1 where networks that answer name different outputs. Null: fewer than two answer. */
  differing: Packed | null;
}

/** data/FOLDER/layers/LAYER/filters.js */
export interface FilterShard {
  channels: number;
  max: number[];
  mean: number[];
  /** Share of exact zeros of each channel. */
  zeros: number[];
  /** How many values were seen of each channel. */
  count: number[];
  /** Ends of the bins of the histograms, 66. */
  edges: number[];
  /** (channels, 65): counts. Null, and no edges: of a network that only a comparison has. */
  histogram: Packed | null;
  /** (channels, k): strongest patches; picture -1: there are fewer. */
  top: { picture: Packed; row: Packed; column: Packed; value: Packed };
  /** (channels, k, 4): top, left, bottom, right in pixels of the input; may reach outside. Null: unknown. */
  boxes: Packed | null;
  /** Size of a panel of a filter's picture, how many stand in a row, and its file's ending; null: no pictures were made.
   *  A filter that never fires has none.
   */
  panel: { height: number; width: number; columns: number; ending: ".png" | ".jpg" } | null;
  /** Channels with a picture; "all": of those that fire. */
  shown: number[] | "all";
  /** Channels with a row of reconstructions under the patches; "all". */
  drawn: number[] | "all";
  /** (channels, k): value of what white means in each reconstruction, once stretched; null: none are drawn. */
  white: Packed | null;
  /** By channel: pictures made to excite it most. */
  maximised: Record<string, MadeData[]>;
  /** Filters most correlated over the patches of the layer's space, nearest first. Null: no space. */
  neighbours: { channels: number[][]; correlations: number[][] } | null;
  /** By the other network's name: each channel's best match there; null: none. */
  matches: Record<string, ({ layer: string; channel: number; correlation: number; mutual: boolean } | null)[]>;
}

/** A picture made to excite a filter most. */
export interface MadeData {
  /** Of the network's folder. */
  file: string;
  /** Its activation. */
  value: number;
  /** In place of the activation, where it is 0: "dead", "not excited"; and a sentence on it. */
  still?: string;
  why?: string;
}

/** data/FOLDER/reconstructions.js, where the network has strips */
export interface ReconstructionShard {
  /** Chosen pictures, rising. */
  pictures: number[];
  layers: string[];
  /** (pictures, layers): value of what white means in each reconstruction; black means the same below zero. */
  white: Packed;
}

/** data/FOLDER/layers/LAYER/space.js */
export interface SpaceShard {
  patches: number;
  /** (N): picture, row and column of each patch. */
  picture: Packed;
  row: Packed;
  column: Packed;
  /** (N, 4): top, left, bottom, right in pixels of the input. */
  boxes: Packed;
  /** (N, 2), f4: where t-SNE put each patch; its place in cells is (point - [left, top]) / side, in float64. */
  points: Packed;
  grid: { left: number; top: number; side: number };
  /** What `--patches` etc. were, and why there are fewer; "" if not. */
  shortfall: string;
  /** Size of the plane in cells, of each arrangement: patch of each cell (rows, columns), -1: none. */
  planes: Record<"fill" | "one-to-one", PlaneData>;
  first: "fill" | "one-to-one";
  regions: RegionData[];
  /** How true the planes are: rows of truth.parquet. */
  truth: { name: string; of: string; value: number | null; control: number | null; sample: number | null; meaning: string; missing: string | null }[];
  activations: {
    channels: number;
    /** Values are level * scale[channel]; level 0 is exactly 0 or less. */
    scale: number[];
    /** (channels, 256), i4: how many patches have each level. */
    histogram: Packed;
    /** Patches of one shard of rows: data/FOLDER/layers/LAYER/rows/K.js, a Packed u1 (channels, rows); the last has the rest. */
    rows: number;
    /** (N): a patch's row among all shards; near patches of the plane stand near each other. */
    order: Packed;
    /** Channels of one shard of columns: data/FOLDER/layers/LAYER/columns/K.js, a Packed u1 (channels, N), in `order`. */
    columns: number;
  };
}

export interface PlaneData {
  cells: Packed;
  /** Pixels: side of a cell, of a tile; and of the whole pyramid. */
  cell: number;
  tile: number;
  width: number;
  height: number;
}

export interface RegionData {
  /** From 1, as on the pictures. */
  number: number;
  members: number[];
  pictures: number;
  spread: number;
  centre: number;
  label: number | null;
  label_share: number | null;
  /** Corners of its outline around the points, in cells of "fill". */
  outline: [number, number][];
  /** The ten filters of most contrast. */
  filters: { channel: number; mean: number; mean_elsewhere: number; contrast: number }[];
}

/** data/compare/FOLDER/OTHER/pair.js: two networks side by side; rows are layers of `one`. */
export interface PairShard {
  one: string;
  other: string;
  pictures: number;
  /** Layers compared. */
  rows: string[];
  columns: string[];
  /** (rows, columns) in row order; null: not there. */
  cka: (number | null)[];
  low: (number | null)[];
  high: (number | null)[];
  shuffled: (number | null)[];
  /** Largest share of one picture in a sum. */
  share: (number | null)[];
  procrustes: (number | null)[];
  procrustes_shuffled: (number | null)[];
  /** Share of the k nearest pictures that both have; null: that part was not made. */
  neighbours: { k: number; chance: number; overlap: (number | null)[] } | null;
  /** All matched filters: best of each of `one`'s in the other and the other way; mutual first, strongest first. */
  matched: Match[];
  /** Filters of each network that have no good match, least first. */
  unmatched: { one: Match[]; other: Match[] };
  /** Pictures the two place most differently, most first; difference in [0, 1]. */
  differing: { picture: number; difference: number }[];
  /** Charts of the other parts, that the comparison drew: PNG below compare/. */
  figures: { part: string; title: string; caption: string; files: string[] }[];
}

/** [layer of one, channel, layer of the other, channel, correlation, mutual] */
export type Match = [string, number, string, number, number, boolean];
