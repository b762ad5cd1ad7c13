// All filters of a layer at a glance, one bar each; and all layers of a network, one bar each.
import { useState } from "preact/hooks";
import type { LayerData, NetworkData } from "../data";
import { drawnCount, fires, isDrawn, type LayerFilters, type Sort } from "../filters";
import { scale } from "../charts";
import { Key } from "../parts/controls";
import { useWidth } from "../parts/width";
import { colour, go, study, to } from "../state";
import { brief } from "../brief";
import { figure, percent, plural } from "../words";

const HEIGHT = 52;

interface BarsProps {
  network: NetworkData;
  layer: LayerData;
  filters: LayerFilters;
  sorted: number[];
  sort: Sort;
  lit: number | null;
  onHover: (channel: number | null) => void;
}

/** What the bars show in an order. */
function valueOf(filters: LayerFilters, sort: Sort, channel: number): number {
  return sort === "rare" ? (fires(filters, channel) ?? 0) : Math.max(filters.shard.max[channel] ?? 0, 0);
}

function Caption({ filters, sort, network, sorted }: BarsProps) {
  const drawn = drawnCount(filters);
  const by = { max: "by strongest activation", rare: "by share of activations above zero", number: "by number", region: "by contrast in region 1, then strongest activation" };
  return (
    <>
      {`All ${plural(sorted.length, "filter")} ${by[sort]}`}
      {drawn > 0 && drawn < sorted.length ? (
        <>
          , <span class={colour(network.name)}>with reconstructions</span>
        </>
      ) : null}
    </>
  );
}

export function Bars(props: BarsProps) {
  const { network, layer, filters, sorted, sort, lit, onHover } = props;
  const [element, width] = useWidth<HTMLDivElement>();
  const values = sorted.map((channel) => valueOf(filters, sort, channel));
  const most = Math.max(...values, 0);
  const y = scale([0, most], [HEIGHT, 0]);
  const step = width / Math.max(sorted.length, 1);
  const bars = (wanted: (channel: number) => boolean) =>
    sorted.map((channel, at) => (wanted(channel) ? `M${((at + 0.5) * step).toFixed(2)} ${HEIGHT}V${y(values[at] ?? 0).toFixed(1)}` : "")).join("");
  const some = drawnCount(filters) < sorted.length;
  const write = (value: number) => (sort === "rare" ? percent(value, 1) : figure(value));
  const at = (event: MouseEvent) => sorted[Math.min(sorted.length - 1, Math.max(0, Math.floor(event.offsetX / step)))];
  const open = (channel: number | undefined) =>
    channel !== undefined && go({ page: "filter", network: network.name, layer: layer.name, channel });
  const pen = Math.max(step - 1, step / 2, 0.5);
  return (
    <figure class="bars">
      <figcaption>
        <span>
          <Caption {...props} />
        </span>
        <span>{lit === null ? `max ${write(most)}` : `${lit}: ${write(valueOf(filters, sort, lit))}`}</span>
      </figcaption>
      <div
        ref={element}
        role="img"
        aria-label={`Bars of ${plural(sorted.length, "filter")}, largest ${write(most)}; the cards below name each value`}
        onMouseMove={(event) => onHover(at(event) ?? null)}
        onMouseLeave={() => onHover(null)}
        onClick={(event) => open(at(event))}
      >
        <svg width={width} height={HEIGHT} aria-hidden="true">
          <path class="grey" stroke-width={pen} d={bars((channel) => !some || !isDrawn(filters, channel))} />
          {some ? <path class={colour(network.name)} stroke-width={Math.max(pen, 1.5)} d={bars((channel) => isDrawn(filters, channel))} /> : null}
          {lit === null ? null : <path class="lit" stroke-width={Math.max(pen, 2)} d={bars((channel) => channel === lit)} />}
        </svg>
      </div>
    </figure>
  );
}

/** Most layers that stand side by side; more are a list. */
const RAIL = 28;

/** The layers of a network, each with the share of its activations above zero. */
export function Rail({ network, layer, href }: { network: NetworkData; layer: LayerData; href: (layer: string) => string }) {
  const [hovered, setHovered] = useState<LayerData | null>(null);
  if (network.layers.length > RAIL || network.layers.length < 2) return null;
  const shown = hovered ?? layer;
  const words = shown.sparsity === null ? shown.name : `${shown.name} ${percent(1 - shown.sparsity)}`;
  return (
    <nav class={`rail-of-layers ${colour(network.name)}`} aria-label={`Layers of ${network.title}`}>
      <p class="small soft">
        <span>Layers, share of activations that are not zero</span>
        <span>
          {hovered === null ? (
            <>
              <Key>[</Key> <Key>]</Key>
            </>
          ) : (
            words
          )}
        </span>
      </p>
      <ul>
        {network.layers.map((one) => (
          <li key={one.name} class={one.filters ? undefined : "off"} onMouseEnter={() => setHovered(one)} onMouseLeave={() => setHovered(null)}>
            <RailStop network={network} one={one} here={one === layer} href={href(one.name)} />
          </li>
        ))}
      </ul>
    </nav>
  );
}

function RailStop({ network, one, here, href }: { network: NetworkData; one: LayerData; here: boolean; href: string }) {
  const inner = (
    <>
      <span class="cell">{one.sparsity === null ? null : <i style={{ height: `${100 * (1 - one.sparsity)}%` }} />}</span>
      <span class="name">{brief(network, one.name)}</span>
      {one.sparsity === null ? null : <span class="unseen">{`, ${percent(1 - one.sparsity)} not zero`}</span>}
    </>
  );
  if (!one.filters) return <span title={`No filters of ${one.name} are in this study`}>{inner}</span>;
  return (
    <a href={href} aria-current={here ? "true" : undefined} title={one.name}>
      {inner}
    </a>
  );
}

/** Layers by previous, list and next: on phones, and for networks of many layers. */
export function Steps({ network, layer, href }: { network: NetworkData; layer: LayerData; href: (layer: string) => string }) {
  const layers = network.layers.filter((one) => one.filters);
  const at = layers.indexOf(layer);
  const [before, after] = [layers[at - 1], layers[at + 1]];
  return (
    <div class={network.layers.length > RAIL ? "steps always" : "steps"}>
      {before ? <a class="button" href={href(before.name)}>{`← ${before.name}`}</a> : <span />}
      <select aria-label="Layer" value={layer.name} onChange={(event) => location.assign(href(event.currentTarget.value))}>
        {layers.map((one) => (
          <option key={one.name} value={one.name}>{`${one.name} of ${network.title}`}</option>
        ))}
      </select>
      {after ? <a class="button" href={href(after.name)}>{`${after.name} →`}</a> : <span />}
    </div>
  );
}

export function layerAddress(network: string): (layer: string) => string {
  return (layer) => to({ page: "filters", network, layer, sort: "max", show: "both", all: false });
}

/** Networks that have filters to show. */
export function withFilters(): NetworkData[] {
  return study().networks.filter((network) => network.layers.some((layer) => layer.filters));
}
