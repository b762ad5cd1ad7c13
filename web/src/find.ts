// What is found by a few letters: layers, filters ("c4_1 84"), pictures, classes.
import type { Route } from "./address";
import type { StudyData } from "./data";

export interface Found {
  kind: "layer" | "filter" | "picture" | "class" | "page";
  text: string;
  /** What stands beside it: the network, the class. */
  of: string;
  target: Route;
}

export interface FindablePicture {
  picture: number;
  name: string;
  label: number | null;
}

/** How well a name answers a query, both in lower case: 0 the same, 1 begins with it, 2 a part of it does, 3 holds it. */
export function rank(name: string, query: string): number | null {
  if (name === query) return 0;
  if (name.startsWith(query)) return 1;
  const at = name.indexOf(query);
  if (at < 0) return null;
  return /[^a-z0-9]/.test(name.charAt(at - 1)) ? 2 : 3;
}

interface Ranked {
  found: Found;
  rank: number;
}

function ranked(name: string, query: string, found: Found): Ranked[] {
  const place = rank(name.toLowerCase(), query);
  return place === null ? [] : [{ found, rank: place }];
}

function layers(study: StudyData, query: string): Ranked[] {
  return study.networks.flatMap((network) =>
    network.layers.flatMap((layer) => {
      const names = [layer.name, `${network.name} ${layer.name}`, `${network.title} ${layer.name}`];
      const target: Route = layer.filters
        ? { page: "filters", network: network.name, layer: layer.name, sort: "max", show: "both", all: false }
        : { page: "overview", picture: null };
      const found: Found = { kind: "layer", text: layer.name, of: network.title, target };
      return names.flatMap((name) => ranked(name, query, found)).sort((a, b) => a.rank - b.rank).slice(0, 1);
    }),
  );
}

/** "c4_1 84": filter 84 of layers whose names begin so. */
function filters(study: StudyData, query: string): Ranked[] {
  const match = /^(.+?)[\s/:.,#]+(\d{1,6})$/.exec(query);
  if (match === null) return [];
  const [name, channel] = [match[1] ?? "", Number(match[2])];
  return study.networks.flatMap((network) =>
    network.layers.flatMap((layer) => {
      const names = [layer.name, `${network.name} ${layer.name}`, `${network.title} ${layer.name}`];
      const best = Math.min(...names.map((one) => rank(one.toLowerCase(), name) ?? 9));
      if (best > 1 || !layer.filters || channel >= (layer.channels ?? 0)) return [];
      const target: Route = { page: "filter", network: network.name, layer: layer.name, channel };
      return [{ found: { kind: "filter", text: `${layer.name} ${channel}`, of: network.title, target }, rank: best - 1 }];
    }),
  );
}

function classes(study: StudyData, query: string): Ranked[] {
  return (study.pictures.classes ?? []).flatMap((name, label) =>
    study.pictures.sizes?.[label] === 0 ? [] : ranked(name, query, { kind: "class", text: name, of: "class", target: { page: "pictures", class: label, answers: null, differing: false } }),
  );
}

function pictures(study: StudyData, query: string, rows: FindablePicture[]): Ranked[] {
  return rows.flatMap(({ picture, name, label }) => {
    const target: Route = { page: "picture", picture, layer: null, at: null, align: "field", all: false };
    const of = label === null ? "picture" : (study.pictures.classes?.[label] ?? "picture");
    return ranked(name, query, { kind: "picture", text: name, of, target });
  });
}

/** What a query finds, best first, at most `most`; of equal ones layers before filters, classes and pictures. */
export function find(study: StudyData, query: string, rows: FindablePicture[], most = 24): Found[] {
  const plain = query.trim().toLowerCase().replace(/\s+/g, " ");
  if (plain === "") return [];
  const all = [...filters(study, plain), ...layers(study, plain), ...classes(study, plain), ...pictures(study, plain, rows)];
  return all
    .map((one, at) => ({ ...one, at }))
    .sort((a, b) => a.rank - b.rank || a.at - b.at)
    .slice(0, most)
    .map(({ found }) => found);
}
