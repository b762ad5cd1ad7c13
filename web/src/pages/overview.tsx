// The networks layer by layer over one picture, their zeros, and what the study holds.
import { signal } from "@preact/signals";
import { useState } from "preact/hooks";
import type { OverviewRoute } from "../address";
import type { NetworkData } from "../data";
import { foldName, layOut, type Depth, type Entry, type Lane } from "../depth";
import { thumb } from "../images";
import { useKeys } from "../keys";
import { Down } from "../overview/down";
import { Holdings } from "../overview/holdings";
import { Sparsity } from "../overview/sparsity";
import { Brackets, LaneRow } from "../parts/layers";
import { Lost } from "../parts/lost";
import { Note } from "../parts/note";
import { Tile } from "../parts/tile";
import { usePictures } from "../pictures";
import { colour, go, narrow, network, route, shown, study, to } from "../state";
import { head } from "../brief";
import { count, list, plural } from "../words";

const folded = signal<ReadonlySet<string>>(new Set());

/** The picture in the blocks: the address's, else the one shown before, else the middle one of those there are. */
export function shownPicture(wanted: number | null): number | null {
  const { chosen } = study().pictures;
  const before = wanted ?? shown.value;
  if (before !== null && chosen.includes(before)) return before;
  return chosen[Math.floor(chosen.length / 2)] ?? null;
}

/** Where a layer leads: to what it keeps of the picture, else to its filters. */
export function layerLink(of: NetworkData, name: string, picture: number | null): string | undefined {
  const layer = of.layers.find((one) => one.name === name);
  if (picture !== null)
    return to({ page: "picture", picture, layer: { network: of.name, layer: name }, at: null, align: "field", all: false });
  if (!layer?.filters) return undefined;
  return to({ page: "filters", network: of.name, layer: name, sort: "max", show: "both", all: false });
}

export function filtersLink(of: NetworkData): string {
  return to({ page: "filters", network: of.name, layer: null, sort: "max", show: "both", all: false });
}

/** Most pictures to pick from; the wall leads to the others. */
const PICKED = 8;

/** Some of the pictures, evenly spread over them, with the shown one in place of that nearest to it. */
export function spread(pictures: number[], shownOne: number | null, most = PICKED): number[] {
  if (pictures.length <= most) return pictures;
  const some = Array.from({ length: most }, (_, at) => pictures[Math.floor(((2 * at + 1) * pictures.length) / (2 * most))] as number);
  if (shownOne === null || some.includes(shownOne)) return some;
  const far = (picture: number) => Math.abs(pictures.indexOf(picture) - pictures.indexOf(shownOne));
  const near = some.reduce((best, one) => (far(best) <= far(one) ? best : one));
  return some.map((one) => (one === near ? shownOne : one));
}

function Picker({ picture }: { picture: number | null }) {
  const { chosen, thumbs } = study().pictures;
  const picked = spread(chosen, picture);
  const rows = usePictures(thumbs === null ? [] : picked).value;
  if (thumbs === null || chosen.length < 2) return null;
  return (
    <div class="picker">
      <p class="small soft" id="picker">
        Shown picture
      </p>
      <ul aria-labelledby="picker">
        {picked.map((one) => (
          <li key={one}>
            <button type="button" aria-label={rows?.get(one)?.name ?? `Picture ${one}`} aria-pressed={one === picture} onClick={() => go({ page: "overview", picture: one }, true)}>
              <Tile part={thumb(study(), 0, one)} />
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}

function Label({ lane, depth }: { lane: Lane; depth: Depth }) {
  const filters = lane.network.layers
    .filter((layer) => layer.kind.startsWith("conv") && layer.channels !== null)
    .reduce((sum, layer) => sum + (layer.channels ?? 0), 0);
  const start = head(lane.network);
  const layers = plural(lane.network.layers.length, "layer");
  const words = lane.network === depth.deepest ? `${layers}, ${count(filters)} filters of convolutions` : `${layers}, under those that see as much`;
  return (
    <>
      <h2 class={colour(lane.network.name)}>
        <a href={filtersLink(lane.network)}>{lane.network.title}</a>
      </h2>
      <p>{words}</p>
      {start === "" ? null : <p>{`“.” is short for “${start}”`}</p>}
    </>
  );
}

function fold(depth: Depth, block: string): void {
  const name = foldName(depth.deepest, block);
  const next = new Set(folded.value);
  if (!next.delete(name)) next.add(name);
  folded.value = next;
}

function foldAll(depth: Depth): void {
  const names = depth.brackets.map(({ block }) => foldName(depth.deepest, block));
  folded.value = names.every((name) => folded.value.has(name)) ? new Set() : new Set(names);
}

/** Moves the focus among blocks: along a lane, or to the nearest column of the next one. */
function moveFocus(key: string): void {
  const lanes = [...document.querySelectorAll<HTMLElement>(".depth .lane")].map((lane) => [...lane.querySelectorAll<HTMLElement>("a.stop")]);
  const rows = lanes.filter((stops) => stops.length > 0);
  const row = rows.findIndex((stops) => stops.includes(document.activeElement as HTMLElement));
  const stops = rows[Math.max(row, 0)] ?? [];
  const at = stops.indexOf(document.activeElement as HTMLElement);
  if (key === "ArrowLeft" || key === "ArrowRight") {
    stops[at < 0 ? 0 : at + (key === "ArrowLeft" ? -1 : 1)]?.focus();
    return;
  }
  const column = Number(stops[Math.max(at, 0)]?.dataset.column ?? 0);
  const others = rows[Math.max(row, 0) + (key === "ArrowUp" ? -1 : 1)] ?? [];
  const far = (stop: HTMLElement) => Math.abs(Number(stop.dataset.column) - column);
  others.reduce<HTMLElement | null>((best, one) => (best && far(best) <= far(one) ? best : one), null)?.focus();
}

function Figure({ depth, picture }: { depth: Depth; picture: number | null }) {
  const [lit, setLit] = useState<number | null>(null);
  useKeys([
    { keys: ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"], label: "← → ↑ ↓", text: "from block to block", run: moveFocus },
    { keys: ["f"], label: "f", text: "fold or unfold all blocks", run: () => foldAll(depth) },
  ]);
  const href = (of: NetworkData) => (entry: Entry) => layerLink(of, entry.layer.name, picture);
  return (
    <section class="depth" aria-label="Layers over depth">
      <Brackets depth={depth} onFold={(block) => fold(depth, block)} />
      {depth.lanes.map((lane) => (
        <LaneRow
          key={lane.network.name}
          {...{ depth, lane, picture, lit, onHover: setLit }}
          label={<Label lane={lane} depth={depth} />}
          framed
          sizes
          href={href(lane.network)}
        />
      ))}
      <Sparsity depth={depth} lit={lit} onHover={setLit} />
    </section>
  );
}

/** What stands under the title: sizes of inputs, rules, and how to read the figure. */
function Subtitle({ picture }: { picture: number | null }) {
  const sizes = [...new Set(study().views.map(({ height, width }) => `${height} × ${width} px`))];
  const rules = [...new Set(study().networks.map(({ rule }) => rule).filter(Boolean))];
  const read = picture === null ? "The frame is what one unit sees." : "Each block shows the picture as the layer keeps it; the frame is what one unit sees.";
  return <p class="soft">{`${[list(sizes), ...rules].join(", ")}. ${read}`}</p>;
}

export function Overview() {
  const at = route.value as OverviewRoute;
  const picture = shownPicture(at.picture);
  shown.value = picture;
  const all = study();
  const depth = layOut(all.networks, folded.value, "field", narrow.value ? Infinity : 40);
  const known = list(all.networks.map((one) => network(one.name)?.title ?? one.name));
  return (
    <main class="page" tabIndex={-1}>
      <div class="title">
        <div>
          <h1>{`What ${known} ${all.networks.length === 1 ? "keeps" : "keep"} of ${plural(all.pictures.count, "picture")}`}</h1>
          <Subtitle picture={picture} />
          {picture === null ? null : <Lost networks={all.networks} named />}
        </div>
        <Picker picture={picture} />
      </div>
      {picture === null && all.pictures.command ? (
        <Note command={all.pictures.command}>No reconstructions of whole pictures are here; this makes them:</Note>
      ) : null}
      {depth === null ? <Note>No network of this study has layers.</Note> : narrow.value ? <Down depth={depth} picture={picture} /> : <Figure depth={depth} picture={picture} />}
      <Holdings />
    </main>
  );
}
