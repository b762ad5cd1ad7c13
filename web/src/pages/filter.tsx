// One filter: the patches that excite it most, what of them it answers to, where they lie; and how it stands among others.
import { useState } from "preact/hooks";
import type { FilterRoute } from "../address";
import { filtersCommand, planeCommand } from "../commands";
import type { LayerData, MadeData, NetworkData } from "../data";
import { Histogram, Statistics } from "../filter/activations";
import { Matches, Neighbours } from "../filter/kin";
import { Loupe } from "../filter/loupe";
import { Plane } from "../filter/plane";
import { fires, goesBack, isDrawn, order, topPatches, useFilters, useSpaceOf, type TopPatch } from "../filters";
import { frameWidth } from "../geometry";
import { useKeys } from "../keys";
import { Button } from "../parts/controls";
import { Crumbs } from "../parts/crumbs";
import { Lost } from "../parts/lost";
import { Note } from "../parts/note";
import { Patch, Reconstruction, type OfFilter } from "../parts/patches";
import { Where } from "../parts/tile";
import { usePictures } from "../pictures";
import { url } from "../shards";
import { colour, go, layer as layerOf, network as networkOf, route, study, to } from "../state";
import { count, figure, percent, pixels } from "../words";

const HOME = { page: "filters", network: null, layer: null, sort: "max", show: "both", all: false } as const;

export function Filter() {
  const at = route.value as FilterRoute;
  const network = networkOf(at.network);
  const layer = layerOf(at.network, at.layer);
  if (network === undefined || layer === undefined) return null;
  return <OfLayer network={network} layer={layer} channel={at.channel} />;
}

function OfLayer({ network, layer, channel }: { network: NetworkData; layer: LayerData; channel: number }) {
  const { value, error } = useFilters(network, layer);
  const list = { ...HOME, network: network.name, layer: layer.name };
  const crumbs = [
    { text: "Filters", href: to(HOME) },
    { text: network.title, href: to({ ...HOME, network: network.name }) },
    { text: layer.name, href: to(list) },
    { text: String(channel) },
  ];
  const missing = !layer.filters || (value !== undefined && channel >= value.shard.channels);
  return (
    <main class="page" tabIndex={-1}>
      <Crumbs path={crumbs} />
      {missing ? <h1>{`Filter ${channel} of ${network.title} ${layer.name}`}</h1> : null}
      {missing ? <Note>{layer.filters ? `${layer.name} has filters 0 to ${(value?.shard.channels ?? 1) - 1}.` : `No filters of ${layer.name} are in this study.`}</Note> : null}
      {error !== undefined ? <Note warns>{error}</Note> : null}
      {value && !missing ? <Shown of={{ network, layer, filters: value, channel }} /> : null}
    </main>
  );
}

/** Where a filter stands in a line. */
function words({ layer, filters, channel }: OfFilter): string {
  const max = filters.shard.max[channel] ?? 0;
  const share = fires(filters, channel);
  const place = order(filters, "max").indexOf(channel) + 1;
  const above = share === null ? [] : [`above zero at ${percent(share, 1)} of units`];
  const sees = layer.field === null ? [] : [`each sees ${pixels(layer.field.size)}`];
  const strongest = `Strongest activation ${figure(max)}, number ${count(place)} of ${count(filters.shard.channels)}`;
  return [strongest, ...above, ...sees].join("; ");
}

/** What gives the same patches in Python. */
function python({ network, layer, channel }: OfFilter): string {
  const text = (value: string) => JSON.stringify(value);
  return [
    "from layerscope import Study",
    `top = Study.open(${text(study().name)}).network(${text(network.name)}).table("top_patches").to_pandas()`,
    `top[(top["layer"] == ${text(layer.name)}) & (top["channel"] == ${channel})]`,
  ].join("\n");
}

function Copy({ of }: { of: OfFilter }) {
  const [done, setDone] = useState(false);
  const copy = () => void navigator.clipboard.writeText(python(of)).then(() => setDone(true));
  return <Button onClick={copy}>{done ? "Copied" : "Copy as Python"}</Button>;
}

function Controls({ of }: { of: OfFilter }) {
  const { network, layer, filters, channel } = of;
  const link = (next: number) =>
    next < 0 || next >= filters.shard.channels ? null : to({ page: "filter", network: network.name, layer: layer.name, channel: next });
  return (
    <div class="controls">
      <span class="small soft wide" aria-hidden="true">
        hold <kbd class="tight">r</kbd> to blink
      </span>
      <Copy of={of} />
      <span class="joined">
        <Button href={link(channel - 1)} off={channel === 0}><span class="unseen">The filter before </span>{channel === 0 ? "←" : `← ${channel - 1}`}</Button>
        <Button href={link(channel + 1)} off={link(channel + 1) === null}><span class="unseen">The next filter </span>{link(channel + 1) === null ? "→" : `${channel + 1} →`}</Button>
      </span>
    </div>
  );
}

function Shown({ of }: { of: OfFilter }) {
  const { network, layer, filters, channel } = of;
  const patches = topPatches(filters, channel);
  return (
    <>
      <div class="title">
        <div>
          <h1 title={`${network.title} ${layer.name}`}>
            Filter {channel} <span class="of">of</span> <span class={`of ${colour(network.name)}`}>{`${network.title} ${layer.name}`}</span>
          </h1>
          <p class="soft">{words(of)}</p>
        </div>
        <Controls of={of} />
      </div>
      {patches.length === 0 ? <Note>{`Filter ${channel} never fires: its activation is above zero nowhere in ${count(study().pictures.count)} pictures.`}</Note> : <Patches of={of} patches={patches} />}
      <Maximised {...{ of, patches }} />
      <Below of={of} />
    </>
  );
}

function Patches({ of, patches }: { of: OfFilter; patches: TopPatch[] }) {
  const { network, layer, filters, channel } = of;
  const [blink, setBlink] = useState(false);
  const [near, setNear] = useState<TopPatch | null>(null);
  const [open, setOpen] = useState<TopPatch | null>(null);
  const rows = usePictures(patches.map(({ picture }) => picture)).value;
  const step = (by: number) => {
    const next = channel + by;
    if (next >= 0 && next < filters.shard.channels) go({ page: "filter", network: network.name, layer: layer.name, channel: next });
  };
  useKeys([
    { keys: ["ArrowLeft", "ArrowRight"], label: "← →", text: "the filter before, the filter after", run: (key) => step(key === "ArrowLeft" ? -1 : 1) },
    { keys: ["r"], label: "hold r", text: "blink patches and reconstructions", run: () => setBlink(true), release: () => setBlink(false) },
    { keys: ["z"], label: "z", text: "loupe with true pixels, of the patch under the cursor", run: () => setOpen(open === null ? (near ?? patches[0] ?? null) : null) },
  ]);
  const whites = patches.flatMap(({ white }) => (white === null ? [] : [white]));
  const [first, least] = [whites[0], Math.min(...whites)];
  return (
    <section aria-label="Strongest patches">
      <div class={isDrawn(filters, channel) ? "nine" : "nine none"} style={{ "--ranks": patches.length }}>
        {patches.map((patch) => (
          <Column key={patch.rank} {...{ of, patch, blink }} name={rows?.get(patch.picture)?.name} most={patches[0]?.value ?? 1} onHover={setNear} />
        ))}
      </div>
      {first === undefined && !goesBack(network, layer) ? <Note>{`No reconstructions: ${network.rule} does not go back from ${layer.name}.`}</Note> : null}
      {first === undefined && goesBack(network, layer) && study().pictures.command ? (
        <Note command={filtersCommand(study().name)}>No reconstructions of this filter are drawn; this draws those of all:</Note>
      ) : null}
      <p class="small soft">
        {first === undefined ? "" : whites.length === 1 ? `The reconstruction stands on zero, stretched: white is ${figure(first)}.` : `Reconstructions stand on zero, each stretched: white is ${figure(first)} in the first, ${figure(least)} in the faintest.`}
      </p>
      {first === undefined ? null : <Lost networks={[network]} />}
      {open === null ? null : <Loupe of={of} patch={open} onClose={() => setOpen(null)} />}
    </section>
  );
}

interface ColumnProps {
  of: OfFilter;
  patch: TopPatch;
  blink: boolean;
  name: string | undefined;
  most: number;
  onHover: (patch: TopPatch | null) => void;
}

/** A patch, its reconstruction and where it lies, as one link to the picture at that unit. */
function Column({ of, patch, blink, name, most, onHover }: ColumnProps) {
  const { network, layer } = of;
  const at: [number, number] = [patch.row, patch.column];
  const target = { page: "picture", picture: patch.picture, layer: { network: network.name, layer: layer.name }, at, align: "field", all: false } as const;
  const known = name ?? `picture ${patch.picture}`;
  return (
    <a class="column" href={to(target)} title={`${known}, unit ${patch.row}, ${patch.column}`} onMouseEnter={() => onHover(patch)} onFocus={() => onHover(patch)}>
      <span class="strength">
        <span class="unseen">{`Rank ${patch.rank + 1}, activation `}</span>
        <span class="rank" aria-hidden="true">
          {patch.rank + 1}
        </span>
        <b>{figure(patch.value)}</b>
        <i class="track">
          <i class={colour(network.name)} style={{ width: `${100 * Math.max(0, patch.value / most)}%` }} />
        </i>
      </span>
      <span class="patch">{blink ? <Reconstruction of={of} patch={patch} /> : <Patch of={of} patch={patch} />}</span>
      <span class="rec">{blink ? <Patch of={of} patch={patch} /> : <Reconstruction of={of} patch={patch} />}</span>
      <span class="lies">
        <Where picture={patch.picture} view={network.view} field={patch.field} />
      </span>
      <span class="name small soft cut-off">
        <span class="unseen">in </span>
        {known}
      </span>
    </a>
  );
}

/** Pictures that were made to excite the filter most, if any were. */
function Maximised({ of, patches }: { of: OfFilter; patches: TopPatch[] }) {
  const made = of.filters.shard.maximised[of.channel] ?? [];
  if (made.length === 0) return null;
  const view = study().views[of.network.view];
  const field = patches[0]?.field ?? null;
  const wide = view === undefined ? null : frameWidth(field, view.height, view.width);
  const whys = [...new Set(made.flatMap(({ why }) => why ?? []))];
  return (
    <section class="made" aria-labelledby="maximised-title">
      <h2 id="maximised-title">Made to excite it most</h2>
      <div class={isDrawn(of.filters, of.channel) ? "maximised" : "maximised none"}>
        {made.map((one, number) => (
          <Made key={one.file} {...{ of, one, number, wide }} strongest={patches[0]?.value ?? 0} />
        ))}
      </div>
      {whys.map((why) => <Note key={why}>{why}</Note>)}
    </section>
  );
}

interface MadeProps {
  of: OfFilter;
  one: MadeData;
  number: number;
  /** Columns of pixels of a patch, which is drawn at the same scale; null: not known. */
  wide: number | null;
  strongest: number;
}

function Made({ of: { network, channel }, one: { file, value, still }, number, wide, strongest }: MadeProps) {
  const [own, setOwn] = useState<number | null>(null);
  const patches = own === null || wide === null ? 1 : own / wide;
  return (
    <figure style={{ "--patches": patches }}>
      <img
        src={url(`${network.folder}/${file}`)}
        alt={`Picture ${number + 1} made to excite filter ${channel} most`}
        onLoad={(event) => setOwn(event.currentTarget.naturalWidth)}
      />
      <figcaption class="small soft">
        <b>{still ?? figure(value)}</b>
        {still === undefined && strongest > 0 ? `, ${figure(value / strongest)} times the strongest patch's` : null}
      </figcaption>
    </figure>
  );
}

function Below({ of }: { of: OfFilter }) {
  const { network, layer, filters, channel } = of;
  const space = useSpaceOf(network, layer);
  return (
    <div class="below">
      <section aria-labelledby="activations-title">
        <h2 id="activations-title">Activations</h2>
        <Histogram filters={filters} channel={channel} network={network.name} />
        <Statistics filters={filters} channel={channel} layer={layer.name} network={network.name} />
      </section>
      <section aria-label="On the plane">
        {space.value ? <Plane network={network} layer={layer} space={space.value} channel={channel} /> : <NoPlane network={network} layer={layer} error={space.error} />}
      </section>
      <div>
        <Neighbours {...{ network, layer, filters, channel }} patches={space.value?.patches ?? null} />
        <Matches {...{ network, layer, filters, channel }} />
      </div>
    </div>
  );
}

function NoPlane({ network, layer, error }: { network: NetworkData; layer: LayerData; error: string | undefined }) {
  if (layer.space) return error === undefined ? null : <Note warns>{error}</Note>;
  const command = planeCommand(study().name, network.name, layer.name);
  return (
    <>
      <h2>{`On the plane of ${layer.name}`}</h2>
      <Note command={command}>{`${layer.name} has no plane in this study; this makes it:`}</Note>
    </>
  );
}

