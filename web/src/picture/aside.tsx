// Beside the stage: units under the cursor, where they lead, and what the networks answer.
import type { LayerData, NetworkData, SpaceShard } from "../data";
import { topPatches, useFilters, useSpaceOf, type LayerFilters } from "../filters";
import { unitAt } from "../geometry";
import { Note } from "../parts/note";
import { Patch } from "../parts/patches";
import { className, outputName, type PictureRow, type Prediction } from "../pictures";
import { unpackAll, useLoaded, type Unpacked } from "../shards";
import { colour, study, to } from "../state";
import { figure, list, percent, plural, squared } from "../words";
import { layerUnder, pixelIn, type Scene } from "./scene";

/** Filters named, and answers shown of one network. */
const [FILTERS, ANSWERS] = [6, 5];

function Unit({ network, layer, at }: { network: NetworkData; layer: LayerData; at: [number, number] }) {
  const size = layer.rows === null || layer.columns === null ? "" : ` of ${squared(layer.rows, layer.columns)}`;
  return (
    <p class="unit small">
      <span class={colour(network.name)}>{`${network.title} ${layer.name}`}</span>
      <span>{layer.rows === null ? "one unit a channel" : `unit ${at[0]}, ${at[1]}${size}`}</span>
    </p>
  );
}

type Places = Record<"picture" | "row" | "column", Unpacked>;

/** Patches of a picture among those of a space. */
function patchesOf(places: Places, picture: number): number[] {
  const found: number[] = [];
  for (let patch = 0; patch < places.picture.length; patch++) if (places.picture[patch] === picture) found.push(patch);
  return found;
}

function PlaneLinks({ scene, pixel, network, layer, space }: { scene: Scene; pixel: [number, number]; network: NetworkData; layer: LayerData; space: SpaceShard }) {
  const { picture, row, column } = space;
  const { value } = useLoaded(`${network.folder}/${layer.folder}`, () => unpackAll({ picture, row, column }));
  if (value === undefined) return null;
  const patches = patchesOf(value, scene.picture);
  const [y, x] = unitAt(layer, ...pixelIn(scene, network, pixel));
  const far = (patch: number) => Math.hypot((value.row[patch] ?? 0) - y, (value.column[patch] ?? 0) - x);
  const near = patches.reduce<number | null>((best, one) => (best !== null && far(best) <= far(one) ? best : one), null);
  const link = (chosen: { patch: number } | { picture: number }) =>
    to({ page: "space", network: network.name, layer: layer.name, arrangement: null, view: null, chosen });
  if (near === null) return <p class="small soft">{`The plane of ${network.title} ${layer.name} has no patch of this picture.`}</p>;
  const away = Math.max(Math.abs((value.row[near] ?? 0) - y), Math.abs((value.column[near] ?? 0) - x));
  return (
    <p class="small">
      <a href={link({ patch: near })}>{away === 0 ? `this patch on the plane of ${layer.name}` : `the nearest patch on the plane of ${layer.name}`}</a>
      {away === 0 ? "" : `, ${plural(away, "unit")} away`}; <a href={link({ picture: scene.picture })}>{`all ${patches.length} of this picture`}</a>
    </p>
  );
}

function OnPlane(props: { scene: Scene; pixel: [number, number]; network: NetworkData; layer: LayerData }) {
  const { value } = useSpaceOf(props.network, props.layer);
  return value ? <PlaneLinks {...props} space={value} /> : null;
}

/** The layers with planes that the links lead to: the chosen one's, else the first of each network. */
function planes(scene: Scene): { network: NetworkData; layer: LayerData }[] {
  if (scene.layer.space) return [scene];
  return scene.depth.lanes.flatMap(({ network }) => {
    const layer = network.layers.find((one) => one.space);
    return layer ? [{ network, layer }] : [];
  });
}

interface Here {
  channel: number;
  rank: number;
  value: number;
}

/** Filters with one of their strongest patches at a unit of a picture, or at one beside it; strongest first. */
function filtersHere(filters: LayerFilters, picture: number, [y, x]: [number, number]): Here[] {
  const found: Here[] = [];
  const { top, ranks } = filters;
  for (let at = 0; at < top.picture.length; at++) {
    const near = Math.max(Math.abs((top.row[at] ?? 0) - y), Math.abs((top.column[at] ?? 0) - x)) <= 1;
    if (top.picture[at] === picture && near) found.push({ channel: Math.floor(at / ranks), rank: at % ranks, value: top.value[at] ?? 0 });
  }
  return found.sort((a, b) => a.rank - b.rank || b.value - a.value);
}

function FiltersHere({ scene, pixel }: { scene: Scene; pixel: [number, number] }) {
  const { network, layer } = scene;
  const { value } = useFilters(network, layer);
  if (value === undefined) return null;
  const here = filtersHere(value, scene.picture, unitAt(layer, ...pixel));
  const words = here.length === 0 ? `No filter of ${layer.name} has a top patch here.` : `${plural(here.length, "filter")} of ${layer.name} with a top patch here`;
  return (
    <>
      <p class="small soft">{words}</p>
      {here.length === 0 ? null : <ul class="here">
        {here.slice(0, FILTERS).map(({ channel, rank, value: strength }) => {
          const patch = topPatches(value, channel, rank + 1)[rank];
          return (
            <li key={channel}>
              <a title={`number ${rank + 1} of the filter's patches, ${figure(strength)}`} href={to({ page: "filter", network: network.name, layer: layer.name, channel })}>
                {patch ? <Patch of={{ network, layer, filters: value, channel }} patch={patch} /> : null}
                <span>
                  <span class="unseen">Filter </span>
                  {channel}
                </span>
              </a>
            </li>
          );
        })}
      </ul>}
    </>
  );
}

function Answers({ network, prediction }: { network: NetworkData; prediction: Prediction }) {
  const right = prediction.answer;
  const place = right === null ? -1 : prediction.outputs.indexOf(right);
  return (
    <div class="answers">
      <h3 class={colour(network.name)}>{network.title}</h3>
      {prediction.outputs.slice(0, ANSWERS).map((output, at) => {
        const share = prediction.probabilities[at] ?? null;
        return (
          <p key={output} class={place === at ? "small is-right" : "small"}>
            <span class="cut-off" title={outputName(network.outputs, output)}>
              {outputName(network.outputs, output)}
              {place === at ? <span aria-label=", which is right"> ✓</span> : null}
            </span>
            <i class="track">{share === null ? null : <i style={{ width: `${100 * share}%` }} />}</i>
            <span>{share === null ? "" : percent(share, 1)}</span>
          </p>
        );
      })}
      {right !== null && place !== 0 ? <p class="small wrong">{`wrong: it is ${outputName(network.outputs, right)}`}</p> : null}
    </div>
  );
}

function Predictions({ row }: { row: PictureRow }) {
  const networks = study().networks;
  const silent = networks.filter(({ name }) => row.predictions[name] === undefined);
  const why = (network: NetworkData) => network.trunk ? "a trunk has no classifier" : (network.errors?.reason ?? "it was not evaluated");
  return (
    <section aria-labelledby="predictions-title">
      <h2 id="predictions-title">Predictions</h2>
      {row.label === null ? null : <p class="small soft">{`Class: ${className(row.label)}`}</p>}
      {networks.map((network) => {
        const prediction = row.predictions[network.name];
        return prediction ? <Answers key={network.name} network={network} prediction={prediction} /> : null;
      })}
      {silent.length > 0 ? <Note>{`None of ${list(silent.map(({ title }) => title))}: ${[...new Set(silent.map(why))].join("; ")}.`}</Note> : null}
    </section>
  );
}

export function Aside({ scene, pixel, row }: { scene: Scene; pixel: [number, number]; row: PictureRow | undefined }) {
  return (
    <aside class="units" aria-label="Units and predictions">
      <section aria-labelledby="units-title">
        <div class="heading">
          <h2 id="units-title">Under the cursor</h2>
          <span class="small soft">{`pixel ${pixel[0]}, ${pixel[1]}`}</span>
        </div>
        {scene.depth.lanes.map((lane) => {
          const layer = layerUnder(scene, lane);
          return layer ? <Unit key={lane.network.name} network={lane.network} layer={layer} at={unitAt(layer, ...pixelIn(scene, lane.network, pixel))} /> : null;
        })}
        {planes(scene).map(({ network, layer }) => (
          <OnPlane key={`${network.name}/${layer.name}`} {...{ scene, pixel, network, layer }} />
        ))}
        {scene.layer.filters ? <FiltersHere scene={scene} pixel={pixel} /> : null}
      </section>
      {row ? <Predictions row={row} /> : null}
    </aside>
  );
}
