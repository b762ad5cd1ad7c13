// The filters of a layer, each by the patches that excite it most and what of them it answers to.
import { useState } from "preact/hooks";
import type { FiltersRoute } from "../address";
import { filtersCommand } from "../commands";
import type { LayerData, NetworkData, SpaceShard } from "../data";
import { drawnCount, firstLayer, goesBack, isDrawn, order, useFilters, useSpaceOf, type LayerFilters } from "../filters";
import { Bars, layerAddress, Rail, Steps, withFilters } from "../filters/bars";
import { Card } from "../filters/card";
import { useKeys } from "../keys";
import { Segmented } from "../parts/controls";
import { Crumbs } from "../parts/crumbs";
import { Lost } from "../parts/lost";
import { Note } from "../parts/note";
import { colour, go, layer as layerOf, network as networkOf, narrow, route, study, to } from "../state";
import { count, percent, pixels, plural } from "../words";

const HOME: FiltersRoute = { page: "filters", network: null, layer: null, sort: "max", show: "both", all: false };

/** What is known of a layer, in a line. */
export function layerWords(layer: LayerData): string {
  const filters = layer.channels === null ? [] : [plural(layer.channels, "filter")];
  const units = layer.rows === null || layer.columns === null ? "" : ` on ${layer.rows} × ${layer.columns} units`;
  const sees = layer.field === null ? [] : [`each sees ${pixels(layer.field.size)}`];
  const zeros = layer.sparsity === null ? [] : [`${percent(layer.sparsity)} zeros`];
  const dead = layer.dead === null ? [] : [layer.dead === 0 ? "none dead" : `${count(layer.dead)} dead`];
  return [filters.join("") + units, ...sees, ...zeros, ...dead].filter(Boolean).join(", ");
}

function NoFilters() {
  return (
    <main class="page" tabIndex={-1}>
      <h1>Filters</h1>
      <Note>No filters are in this study: it holds no strongest patches of any layer.</Note>
    </main>
  );
}

export function Filters() {
  const at = route.value as FiltersRoute;
  const network = at.network === null ? withFilters()[0] : networkOf(at.network);
  const layer = network && (at.layer === null ? firstLayer(network) : layerOf(network.name, at.layer));
  if (network === undefined || layer === undefined) return <NoFilters />;
  return <OfLayer key={`${network.name}/${layer.name}`} at={at} network={network} layer={layer} />;
}

function Head({ network, layer }: { network: NetworkData; layer: LayerData }) {
  const href = layerAddress(network.name);
  const networks = withFilters().map((one) => ({ value: one.name, label: one.title }));
  const pick = (name: string) => go({ ...HOME, network: name });
  return (
    <>
      <Crumbs path={[{ text: "Filters", href: to(HOME) }, { text: network.title, href: to({ ...HOME, network: network.name }) }, { text: layer.name }]} />
      <div class="title">
        <div>
          <h1 title={`${layer.name} of ${network.title}`}>
            {layer.name} <span class="of">of</span> <span class={`of ${colour(network.name)}`}>{network.title}</span>
          </h1>
          <p class="soft">{layerWords(layer)}</p>
        </div>
        <div class="controls ends">
          {networks.length > 1 ? <Segmented label="Network" choices={networks} value={network.name} onPick={pick} /> : null}
          <Rail network={network} layer={layer} href={href} />
        </div>
      </div>
      <Steps network={network} layer={layer} href={href} />
    </>
  );
}

function OfLayer({ at, network, layer }: { at: FiltersRoute; network: NetworkData; layer: LayerData }) {
  const { value, error } = useFilters(network, layer);
  const space = useSpaceOf(network, layer).value;
  const layers = network.layers.filter((one) => one.filters);
  const step = (by: number) => {
    const next = layers[layers.indexOf(layer) + by];
    if (next !== undefined) go({ ...at, network: network.name, layer: next.name });
  };
  useKeys([
    { keys: ["["], label: "[", text: "the layer before", run: () => step(-1) },
    { keys: ["]"], label: "]", text: "the layer after", run: () => step(1) },
  ]);
  return (
    <main class="page" tabIndex={-1}>
      <Head network={network} layer={layer} />
      {error !== undefined ? <Note warns>{error}</Note> : null}
      {layer.filters ? null : <Note>No strongest patches of {layer.name} are in this study.</Note>}
      {value === undefined ? null : <List at={{ ...at, network: network.name, layer: layer.name }} {...{ network, layer, space }} filters={value} />}
    </main>
  );
}

interface ListProps {
  at: FiltersRoute;
  network: NetworkData;
  layer: LayerData;
  filters: LayerFilters;
  space: SpaceShard | undefined;
}

/** Moves the focus among cards: rows have as many as fit. */
function moveFocus(key: string): void {
  const cards = [...document.querySelectorAll<HTMLElement>(".card")];
  const at = cards.indexOf(document.activeElement as HTMLElement);
  const top = cards[0]?.offsetTop;
  const across = Math.max(1, cards.filter((card) => card.offsetTop === top).length);
  const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -across, ArrowDown: across }[key] ?? 0;
  cards[at < 0 ? 0 : at + by]?.focus();
}

function Controls({ at, filters, space }: ListProps) {
  const drawn = drawnCount(filters);
  const none = drawn === 0 ? "no reconstructions of these filters are drawn" : undefined;
  const set = (change: Partial<FiltersRoute>) => go({ ...at, ...change }, true);
  const region = space?.regions.length ? [{ value: "region" as const, label: "In region 1" }] : [];
  const some = drawn > 0 && drawn < filters.shard.channels;
  return (
    <div class="controls spread">
      <div class="controls">
        <Segmented
          label="Shown"
          choices={[
            { value: "patches", label: "Patches" },
            { value: "reconstructions", label: "Reconstructions", off: none },
            { value: "both", label: "Both", off: none },
          ]}
          value={drawn === 0 ? "patches" : at.show}
          onPick={(show) => set({ show })}
        />
        <span class="small soft wide" aria-hidden="true">
          hold <kbd class="tight">r</kbd> to blink
        </span>
        <Segmented
          label="Order"
          choices={[{ value: "max", label: "Strongest" }, { value: "rare", label: "Rarest" }, { value: "number", label: "Number" }, ...region]}
          value={at.sort}
          onPick={(sort) => set({ sort })}
        />
      </div>
      {some ? (
        <Segmented
          label="Filters"
          choices={[{ value: "drawn", label: `${count(drawn)} drawn` }, { value: "all", label: `all ${count(filters.shard.channels)}` }]}
          value={at.all ? "all" : "drawn"}
          onPick={(which) => set({ all: which === "all" })}
        />
      ) : null}
    </div>
  );
}

/** What is not drawn of a layer's filters, and the command that draws it. */
function Missing({ network, layer, filters }: ListProps) {
  const { command } = study().pictures;
  if (!goesBack(network, layer)) return <Note>{`No reconstructions: ${network.rule} does not go back from ${layer.name}.`}</Note>;
  if (command === "") return null;
  if (filters.shard.panel === null) return <Note command={command}>Patches are cut from small pictures; this draws them and their reconstructions:</Note>;
  if (drawnCount(filters) > 0) return null;
  return <Note command={filtersCommand(study().name)}>No reconstructions of these filters are drawn; this draws those of all:</Note>;
}

function List(props: ListProps) {
  const { at, network, layer, filters, space } = props;
  const [lit, setLit] = useState<number | null>(null);
  const [blink, setBlink] = useState(false);
  useKeys([
    { keys: ["r"], label: "hold r", text: "blink patches and reconstructions", run: () => setBlink(true), release: () => setBlink(false) },
    { keys: ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"], label: "← → ↑ ↓", text: "from filter to filter", run: moveFocus },
  ]);
  const region = space?.regions[0]?.filters.map(({ channel }) => channel) ?? [];
  const sorted = order(filters, at.sort, region);
  const drawn = drawnCount(filters);
  const some = drawn > 0 && !at.all;
  const show = drawn === 0 ? "patches" : at.show;
  const shown = some ? sorted.filter((channel) => isDrawn(filters, channel)) : sorted;
  return (
    <>
      {narrow.value ? null : <Bars {...{ network, layer, filters, sorted, lit }} sort={at.sort} onHover={setLit} />}
      <Controls {...props} />
      <Missing {...props} />
      {show === "patches" ? null : <Lost networks={[network]} />}
      <div class={show === "both" ? "cards" : "cards single"}>
        {shown.map((channel) => (
          <Card key={channel} of={{ network, layer, filters, channel }} show={show} blink={blink} lit={lit === channel} onHover={setLit} />
        ))}
      </div>
    </>
  );
}
