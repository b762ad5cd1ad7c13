// Addresses: what a page shows, as the part of its URL after "#". At most 200 characters; restores the view anywhere.
// Names that are long or hold signs of our own are written by number, "~10"; so are all names where it gets too long.

import { type Names, Reader, whole, Writer } from "./names";
import { type Point, readPolygon, readView, type View, writePolygon, writeView } from "./polygon";

export type { Names } from "./names";
export { CORNERS, type Point, readPolygon, type View, writePolygon } from "./polygon";

export const LONGEST = 200;

export type Arrangement = "one" | "fill" | "points";

/** Planes on which outlines are drawn; points lie where "fill" has them. */
export type Drawn = "one" | "fill";

export interface OverviewRoute {
  page: "overview";
  /** Number of the picture shown in the blocks. */
  picture: number | null;
}
export interface PicturesRoute {
  page: "pictures";
  /** Number of a class. */
  class: number | null;
  /** Name of a network, and what of its answers are shown: right or wrong ones, or those that name this output first. */
  answers: { network: string; kind: "right" | "wrong" | number } | null;
  /** Only pictures on which networks differ. */
  differing: boolean;
}
export interface PictureRoute {
  page: "picture";
  picture: number;
  /** The chosen layer; null: the page chooses. */
  layer: { network: string; layer: string } | null;
  /** Row and column of the pinned unit of that layer. */
  at: [number, number] | null;
  align: "field" | "depth";
  /** All layers at once, not the stage. */
  all: boolean;
}
export interface FiltersRoute {
  page: "filters";
  network: string | null;
  layer: string | null;
  sort: "max" | "rare" | "number" | "region";
  show: "both" | "patches" | "reconstructions";
  /** All filters, not only those with reconstructions. */
  all: boolean;
}
export interface FilterRoute {
  page: "filter";
  network: string;
  layer: string;
  channel: number;
}
/** What is chosen on a plane; box: left, top, right, bottom in cells; poly: corners in cells. Either holds patches of
 * the plane it was drawn `on`; not given: of the one shown. */
export type Chosen =
  | { region: number }
  | { box: [number, number, number, number]; on?: Drawn }
  | { poly: Point[]; on?: Drawn }
  | { patch: number }
  | { filter: number }
  /** All patches of a picture, or of a class's pictures. */
  | { picture: number }
  | { class: number };
/** What the colour of a patch tells: its class, its picture, or the activation of a filter. */
export type ColourBy = "class" | "picture" | { filter: number };
export interface SpaceRoute {
  page: "space";
  network: string | null;
  layer: string | null;
  arrangement: Arrangement | null;
  view: View | null;
  chosen: Chosen | null;
  colour?: ColourBy | null;
  /** A second plane, shown beside the first, and what is seen of it. */
  beside?: { network: string; layer: string; view: View | null } | null;
}
export interface CompareRoute {
  page: "compare";
  one: string | null;
  other: string | null;
  /** A cell of the map, or a pair of filters where channels are given. */
  pair: { layer: string; channel: number | null; otherLayer: string; otherChannel: number | null } | null;
  measure: "cka" | "procrustes" | "neighbours";
}
export interface LiveRoute {
  page: "live";
}
export interface MissingRoute {
  page: "missing";
  address: string;
}
export type Route =
  | OverviewRoute
  | PicturesRoute
  | PictureRoute
  | FiltersRoute
  | FilterRoute
  | SpaceRoute
  | CompareRoute
  | LiveRoute
  | MissingRoute;

function numbers(text: string, count: number): number[] {
  const all = text.split(",").map(Number);
  if (all.length !== count || !all.every(Number.isFinite)) throw new Error(`not ${count} numbers: ${text}`);
  return all;
}

/** A number in at most five signs up to 999.9: one place after the point. */
function tenth(value: number): string {
  return String(Math.round(value * 10) / 10);
}

type Query = [string, string | number | null][];

/** Path and fields as one address; a field that is null or "" is left out. */
function join(path: (string | number | null)[], query: Query = []): string {
  const parts = path.filter((part) => part !== null);
  const fields = query.filter(([, value]) => value !== null && value !== "").map(([name, value]) => `${name}=${value}`);
  return `#/${parts.join("/")}${fields.length ? `?${fields.join("&")}` : ""}`;
}

function unless<T extends string>(value: T, usual: T): T | null {
  return value === usual ? null : value;
}

function writeChosen(chosen: Chosen | null): Query {
  if (chosen === null) return [];
  if ("region" in chosen) return [["r", chosen.region]];
  const on = "on" in chosen && chosen.on !== undefined ? chosen.on : null;
  if ("box" in chosen) return [["box", chosen.box.map(tenth).join(",")], ["on", on]];
  if ("poly" in chosen) return [["poly", writePolygon(chosen.poly)], ["on", on]];
  if ("patch" in chosen) return [["patch", chosen.patch]];
  if ("picture" in chosen) return [["p", chosen.picture]];
  if ("class" in chosen) return [["c", chosen.class]];
  return [["f", chosen.filter]];
}

function writePair(route: CompareRoute, writer: Writer): string | null {
  if (route.pair === null || route.one === null || route.other === null) return null;
  const { layer, channel, otherLayer, otherChannel } = route.pair;
  const side = (name: string, number: number | null) => (number === null ? name : `${name}.${number}`);
  const one = side(writer.layer(route.one, layer), channel);
  return `${one}:${side(writer.layer(route.other, otherLayer), otherChannel)}`;
}

function writePicture(route: PictureRoute, writer: Writer): string {
  const chosen = route.layer;
  const layer = chosen && `${writer.network(chosen.network)}.${writer.layer(chosen.network, chosen.layer)}`;
  const at = route.at === null ? null : route.at.join(",");
  return join(
    ["p", route.picture],
    [["l", layer], ["at", at], ["align", unless(route.align, "field")], ["all", route.all ? 1 : null]],
  );
}

function writePictures(route: PicturesRoute, writer: Writer): string {
  const answers = route.answers && `${writer.network(route.answers.network)}.${route.answers.kind}`;
  return join(["p"], [["c", route.class], ["a", answers], ["d", route.differing ? 1 : null]]);
}

function writeFilters(route: FiltersRoute, network: string | null, layer: string | null): string {
  const query: Query = [["sort", unless(route.sort, "max")], ["show", unless(route.show, "both")]];
  return join(["f", network, layer], [...query, ["all", route.all ? 1 : null]]);
}

function writeSpace(route: SpaceRoute, writer: Writer, network: string | null, layer: string | null): string {
  const { beside: other, colour } = route;
  const short = (word: string | number | null) => (writer.short && typeof word === "string" ? word.charAt(0) : word);
  const view = (seen: View | null) => seen && (writer.short ? writeView(seen) : seen.map(tenth).join(","));
  const chosen = writeChosen(route.chosen).map(([name, word]) => [name, name === "on" ? short(word) : word] as Query[number]);
  const by = colour === undefined || colour === null ? null : typeof colour === "object" ? colour.filter : colour.charAt(0);
  const beside = other ? `${writer.network(other.network)}.${writer.layer(other.network, other.layer)}` : null;
  const first: Query = [["a", short(route.arrangement)], ["v", view(route.view)]];
  return join(["s", network, layer], [...first, ...chosen, ["b", by], ["w", beside], ["x", view(other?.view ?? null)]]);
}

function write(route: Route, writer: Writer): string {
  const network = "network" in route && route.network !== null ? writer.network(route.network) : null;
  const named = network !== null && "layer" in route && typeof route.layer === "string";
  const layer = named && "network" in route ? writer.layer(route.network as string, route.layer as string) : null;
  switch (route.page) {
    case "overview":
      return join([""], [["p", route.picture]]);
    case "pictures":
      return writePictures(route, writer);
    case "picture":
      return writePicture(route, writer);
    case "filters":
      return writeFilters(route, network, layer);
    case "filter":
      return join(["f", network, layer, route.channel]);
    case "space":
      return writeSpace(route, writer, network, layer);
    case "compare": {
      const pair = route.one === null || route.other === null ? [] : [writer.network(route.one), writer.network(route.other)];
      return join(["c", ...pair, writePair(route, writer)], [["m", unless(route.measure, "cka")]]);
    }
    case "live":
      return "#/live";
    case "missing":
      return route.address;
  }
}

/** The address of a route, at most 200 characters; null fields are left to the page. */
export function format(route: Route, names: Names): string {
  const address = write(route, new Writer(names, false));
  return address.length <= LONGEST ? address : write(route, new Writer(names, true));
}

type Fields = Map<string, string>;

function choice<T extends string>(fields: Fields, name: string, among: readonly T[], usual: T): T {
  const text = fields.get(name) as T | undefined;
  return text !== undefined && among.includes(text) ? text : usual;
}

function field<T>(fields: Fields, name: string, read: (text: string) => T): T | null {
  const text = fields.get(name);
  return text === undefined ? null : read(text);
}

/** A name and what follows its last dot. */
function split(text: string): [string, string] {
  const at = text.lastIndexOf(".");
  if (at < 0) throw new Error(`no dot: ${text}`);
  return [text.slice(0, at), text.slice(at + 1)];
}

function readLayer(text: string, reader: Reader): { network: string; layer: string } {
  const [network, layer] = split(text);
  return { network: reader.network(network), layer: reader.layer(reader.network(network), layer) };
}

function readPicture(picture: string, fields: Fields, reader: Reader): PictureRoute {
  const layer = field(fields, "l", (text) => readLayer(text, reader));
  const at = field(fields, "at", (text): [number, number] => {
    const [row, column] = text.split(",");
    return [whole(row), whole(column)];
  });
  const align = choice(fields, "align", ["field", "depth"], "field");
  return { page: "picture", picture: whole(picture), layer, at, align, all: fields.has("all") };
}

function readPictures(fields: Fields, reader: Reader): PicturesRoute {
  const answers = field(fields, "a", (text): PicturesRoute["answers"] => {
    const [network, kind] = split(text);
    return { network: reader.network(network), kind: kind === "right" || kind === "wrong" ? kind : whole(kind) };
  });
  return { page: "pictures", class: field(fields, "c", whole), answers, differing: fields.has("d") };
}

function readFilters(path: string[], fields: Fields, reader: Reader): FiltersRoute | FilterRoute {
  const network = path[1] === undefined ? null : reader.network(path[1]);
  const layer = network === null || path[2] === undefined ? null : reader.layer(network, path[2]);
  if (network !== null && layer !== null && path[3] !== undefined)
    return { page: "filter", network, layer, channel: whole(path[3]) };
  const sort = choice(fields, "sort", ["max", "rare", "number", "region"], "max");
  const show = choice(fields, "show", ["both", "patches", "reconstructions"], "both");
  return { page: "filters", network, layer, sort, show, all: fields.has("all") };
}

/** An arrangement, by its word or its first letter. */
function arranged(text: string | undefined): Arrangement | null {
  return (["one", "fill", "points"] as const).find((word) => text === word || text === word.charAt(0)) ?? null;
}

function readChosen(fields: Fields): Chosen | null {
  const drawn = arranged(fields.get("on"));
  const on = drawn === "one" || drawn === "fill" ? { on: drawn } : {};
  const kinds: [string, (text: string) => Chosen][] = [
    ["r", (text) => ({ region: whole(text) })],
    ["box", (text) => ({ box: numbers(text, 4) as [number, number, number, number], ...on })],
    ["poly", (text) => ({ poly: readPolygon(text), ...on })],
    ["patch", (text) => ({ patch: whole(text) })],
    ["f", (text) => ({ filter: whole(text) })],
    ["p", (text) => ({ picture: whole(text) })],
    ["c", (text) => ({ class: whole(text) })],
  ];
  for (const [name, read] of kinds) if (fields.has(name)) return read(fields.get(name) as string);
  return null;
}

function seen(text: string): View {
  return text.includes(",") ? (numbers(text, 3) as View) : readView(text);
}

function readColour(text: string): ColourBy {
  return text === "c" ? "class" : text === "p" ? "picture" : { filter: whole(text) };
}

function readSpace(path: string[], fields: Fields, reader: Reader): SpaceRoute {
  const network = path[1] === undefined ? null : reader.network(path[1]);
  const layer = network === null || path[2] === undefined ? null : reader.layer(network, path[2]);
  const view = field(fields, "v", seen);
  const besideView = field(fields, "x", seen);
  const beside = field(fields, "w", (text) => ({ ...readLayer(text, reader), view: besideView }));
  const colour = field(fields, "b", readColour);
  return { page: "space", network, layer, arrangement: arranged(fields.get("a")), view, chosen: readChosen(fields), colour, beside };
}

function readCompare(path: string[], fields: Fields, reader: Reader): CompareRoute {
  const measure = choice(fields, "m", ["cka", "procrustes", "neighbours"], "cka");
  if (path[2] === undefined) return { page: "compare", one: null, other: null, pair: null, measure };
  const [one, other] = [reader.network(path[1] ?? ""), reader.network(path[2])];
  if (path[3] === undefined) return { page: "compare", one, other, pair: null, measure };
  const sides = path[3].split(":");
  const side = (network: string, text: string | undefined): [string, number | null] => {
    const [name, channel] = (text ?? "").includes(".") ? split(text ?? "") : [text ?? "", null];
    return [reader.layer(network, name), channel === null ? null : whole(channel)];
  };
  const [[layer, channel], [otherLayer, otherChannel]] = [side(one, sides[0]), side(other, sides[1])];
  return { page: "compare", one, other, pair: { layer, channel, otherLayer, otherChannel }, measure };
}

function read(address: string, reader: Reader): Route {
  const [path = "", query = ""] = address.replace(/^#?\/?/, "").split("?");
  const parts = path.split("/").filter((part) => part !== "").map(decodeURIComponent);
  const fields: Fields = new Map(query.split("&").filter(Boolean).map((part) => pairOf(part)));
  switch (parts[0]) {
    case undefined:
      return { page: "overview", picture: field(fields, "p", whole) };
    case "p":
      return parts[1] === undefined ? readPictures(fields, reader) : readPicture(parts[1], fields, reader);
    case "f":
      return readFilters(parts, fields, reader);
    case "s":
      return readSpace(parts, fields, reader);
    case "c":
      return readCompare(parts, fields, reader);
    case "live":
      return { page: "live" };
    default:
      return { page: "missing", address };
  }
}

function pairOf(part: string): [string, string] {
  const at = part.indexOf("=");
  return at < 0 ? [part, ""] : [part.slice(0, at), decodeURIComponent(part.slice(at + 1))];
}

/** What an address means in a study; "missing" where it means nothing. */
export function parse(address: string, names: Names): Route {
  try {
    return read(address, new Reader(names));
  } catch {
    return { page: "missing", address };
  }
}
