// What the study holds, network by network, and its first pictures.
import { planeCommand } from "../commands";
import type { NetworkData } from "../data";
import { thumb } from "../images";
import { heldClasses, usePictures, type PictureRow } from "../pictures";
import { Note } from "../parts/note";
import { Tile } from "../parts/tile";
import { hasWeights } from "../depth";
import { colour, study, to } from "../state";
import { count, percent, plural } from "../words";

/** Most pictures shown, spread over all, and planes named of one network. */
const [PICTURES, PLANES] = [42, 4];

function Filters({ network }: { network: NetworkData }) {
  const layers = network.layers.filter((layer) => layer.filters && hasWeights(layer));
  if (layers.length === 0) return <>none</>;
  const filters = layers.reduce((sum, layer) => sum + (layer.channels ?? 0), 0);
  return (
    <>
      <a href={to({ page: "filters", network: network.name, layer: null, sort: "max", show: "both", all: false })}>{count(filters)}</a>
      <span class="soft"> in {plural(layers.length, "layer")}</span>
    </>
  );
}

function Planes({ network }: { network: NetworkData }) {
  const layers = network.layers.filter((layer) => layer.space);
  if (layers.length === 0) return <span class="soft">none</span>;
  const link = (layer: string) => to({ page: "space", network: network.name, layer, arrangement: null, view: null, chosen: null });
  return (
    <>
      {layers.slice(0, PLANES).map((layer, at) => (
        <span key={layer.name}>
          {at > 0 ? ", " : ""}
          <a href={link(layer.name)}>{layer.name}</a>
        </span>
      ))}
      {layers.length > PLANES ? ` and ${layers.length - PLANES} more` : ""}
    </>
  );
}

function Errors({ network: { name, errors, trunk } }: { network: NetworkData }) {
  if (trunk || errors === null) return <>{trunk ? "none: a trunk has no classifier" : "not evaluated"}</>;
  if (errors.top1 === null) return <>{errors.reason ?? "no right answers are known"}</>;
  const wrong = to({ page: "pictures", class: null, answers: { network: name, kind: "wrong" }, differing: false });
  return (
    <>
      <a href={wrong}>{percent(errors.top1, 1)}</a>
      {` wrong${errors.top5 === null ? "" : `, top-5 ${percent(errors.top5, 1)}`}, of ${count(errors.labelled)}`}
    </>
  );
}

function missing(): { text: string; command: string }[] {
  const { name, networks } = study();
  return networks.flatMap((network) => {
    if (network.layers.some((layer) => layer.space)) return [];
    const layers = network.layers.filter((layer) => layer.filters && hasWeights(layer));
    const layer = layers[Math.floor(layers.length / 2)];
    if (layer === undefined) return [];
    return [{ text: `Missing is a plane of ${network.title}:`, command: planeCommand(name, network.name, layer.name) }];
  });
}

function Table() {
  return (
    <div class="scrolls">
      <table class="holdings">
        <thead>
          <tr>
            <th>Network</th>
            <th class="number">Layers</th>
            <th class="number">Filters</th>
            <th>Planes</th>
            <th>Predictions</th>
          </tr>
        </thead>
        <tbody>
          {study().networks.map((network) => (
            <tr key={network.name}>
              <td class={colour(network.name)}>{network.title}</td>
              <td class="number">{network.layers.length}</td>
              <td class="number">
                <Filters network={network} />
              </td>
              <td>
                <Planes network={network} />
              </td>
              <td class="soft">
                <Errors network={network} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** Pictures in the wall's small form, each a link to its page. */
export function Thumbs({ pictures, rows }: { pictures: number[]; rows: Map<number, PictureRow> | undefined }) {
  return (
    <ul class="thumbs" aria-label="Some of the pictures">
      {pictures.map((picture) => {
        const name = rows?.get(picture)?.name ?? `picture ${picture}`;
        return (
          <li key={picture}>
            <a title={name} href={to({ page: "picture", picture, layer: null, at: null, align: "field", all: false })}>
              <Tile part={thumb(study(), 0, picture)} label={name} />
            </a>
          </li>
        );
      })}
    </ul>
  );
}

/** The first so many numbers, or as many spread over all of them. */
function evenly(total: number, most: number): number[] {
  return Array.from({ length: Math.min(total, most) }, (_, at) => (total <= most ? at : Math.floor(((2 * at + 1) * total) / (2 * most))));
}

function Pictures() {
  const { count: total, bad, classes, thumbs, command } = study().pictures;
  const pictures = evenly(total, PICTURES);
  const rows = usePictures(pictures).value;
  const words = [`all ${count(total)}`, ...(classes ? [plural(heldClasses().length, "class", "classes")] : [])].join(", ");
  return (
    <section aria-labelledby="pictures-title">
      <div class="heading">
        <h2 id="pictures-title">Pictures</h2>
        <a class="small" href={to({ page: "pictures", class: null, answers: null, differing: false })}>
          {words}
        </a>
      </div>
      {thumbs === null ? <Note command={command}>Small pictures are missing; this makes them:</Note> : <Thumbs pictures={pictures} rows={rows} />}
      {bad > 0 ? <Note warns>{plural(bad, "picture")} could not be read and {bad === 1 ? "was" : "were"} left out.</Note> : null}
    </section>
  );
}

export function Holdings() {
  return (
    <div class="halves">
      <section aria-labelledby="holdings-title">
        <h2 id="holdings-title">In this study</h2>
        <Table />
        {missing().map(({ text, command }) => (
          <Note key={command} command={command}>
            {text}
          </Note>
        ))}
      </section>
      <Pictures />
    </div>
  );
}
