// How a filter's activations are spread, and where it stands among the others of its layer.
import { scale } from "../charts";
import type { LayerFilters } from "../filters";
import { useWidth } from "../parts/width";
import { colour } from "../state";
import { count, figure, percent } from "../words";

const HEIGHT = 148;
/** Most bins drawn on each side of zero; those of smaller values are told in words. */
const BINS = 13;

interface Bin {
  from: number;
  to: number;
  count: number;
}

/** Bins on one side of zero from the least end drawn to the largest value, and how many values are smaller. */
function binsOf(filters: LayerFilters, channel: number): { bins: Bin[]; smaller: number; zeros: number } {
  const { edges } = filters.shard;
  const all = edges.slice(0, -1).map((_, at): Bin => {
    const value = filters.histogram?.[channel * (edges.length - 1) + at] ?? 0;
    return { from: edges[at] ?? -Infinity, to: edges[at + 1] ?? Infinity, count: value };
  });
  const zeros = all.filter(({ from, to }) => from === 0 && to === 0).reduce((sum, bin) => sum + bin.count, 0);
  const above = shown(all.filter((bin) => bin.from >= 0 && bin.to > 0));
  const below = shown(all.filter((bin) => bin.to <= 0 && bin.from < 0).reverse()).reverse();
  const bins = [...below, ...above];
  const smaller = all.reduce((sum, bin) => sum + bin.count, 0) - zeros - bins.reduce((sum, bin) => sum + bin.count, 0);
  return { bins, smaller, zeros };
}

/** The last bins up to the largest that holds something. */
function shown(bins: Bin[]): Bin[] {
  const last = bins.findLastIndex((bin) => bin.count > 0);
  return bins.slice(Math.max(0, last + 1 - BINS), last + 1);
}

/** A power of two as people write it: 1/64, 8. */
function power(value: number): string {
  if (!Number.isFinite(value)) return "";
  const size = Math.abs(value);
  const words = size === 0 ? "0" : size >= 1 ? count(size) : size >= 1 / 512 ? `1/${Math.round(1 / size)}` : size.toExponential(0);
  return value < 0 ? `\u2212${words}` : words;
}

/** Ticks at every third power of two, counted from 1. */
function ticked(edge: number): boolean {
  return Number.isFinite(edge) && (edge === 0 || Math.round(Math.log2(Math.abs(edge))) % 3 === 0);
}

export function Histogram({ filters, channel, network }: { filters: LayerFilters; channel: number; network: string }) {
  const [element, width] = useWidth<HTMLDivElement>();
  if (filters.histogram === null) return <p class="small soft">The histogram of activations is not kept here.</p>;
  const { bins, smaller, zeros } = binsOf(filters, channel);
  const total = filters.shard.count[channel] ?? 0;
  if (bins.length === 0) return <p class="small soft">{`All ${count(total)} activations are exactly zero.`}</p>;
  const most = Math.max(...bins.map((bin) => bin.count));
  const x = scale([0, bins.length], [0, width]);
  const y = scale([0, most], [HEIGHT - 20, 24]);
  const rest = smaller > 0 ? ` Nearer zero, not drawn: ${count(smaller)}.` : "";
  return (
    <figure class="histogram">
      <div ref={element}>
        <svg width={width} height={HEIGHT} class={colour(network)} role="img" aria-label={spoken(bins, zeros, total)}>
          <text class="soft" x={width} y="14" text-anchor="end">{`${count(most)} units in the tallest bin`}</text>
          {bins.map((bin, at) => (
            <rect key={bin.from} x={x(at)} width={Math.max(1, x(1) - 2)} y={y(bin.count)} height={HEIGHT - 20 - y(bin.count)}>
              <title>{`${power(bin.from)} to ${power(bin.to)}: ${count(bin.count)} units`}</title>
            </rect>
          ))}
          <line x1="0" x2={width} y1={HEIGHT - 20} y2={HEIGHT - 20} />
          {bins.map((bin, at) =>
            ticked(bin.from) ? (
              <text key={bin.from} class="soft" x={x(at)} y={HEIGHT - 4} text-anchor={at === 0 ? "start" : "middle"}>
                {power(bin.from)}
              </text>
            ) : null,
          )}
        </svg>
      </div>
      <figcaption class="small soft">
        {`Activations that are not zero; bins double in width. Zeros, not drawn: ${percent(zeros / Math.max(total, 1), 1)} of ${count(total)}.${rest}`}
      </figcaption>
    </figure>
  );
}

function spoken(bins: Bin[], zeros: number, total: number): string {
  const parts = bins.map((bin) => `${power(bin.from)} to ${power(bin.to)}: ${count(bin.count)}`);
  return `Histogram of ${count(total)} activations; exactly zero: ${count(zeros)}; ${parts.join("; ")}`;
}

/** One value among those of all filters of the layer: a tick each. */
function Rug({ values, here, network, write }: { values: number[]; here: number; network: string; write: (value: number) => string }) {
  const [element, width] = useWidth<HTMLDivElement>();
  const known = values.filter((value) => typeof value === "number" && Number.isFinite(value));
  const x = scale([Math.min(...known), Math.max(...known)], [2, Math.max(width - 2, 2)]);
  return (
    <div ref={element} class="rug">
      <span class="unseen">{`from ${write(Math.min(...known))} to ${write(Math.max(...known))}`}</span>
      <svg width={width} height="18" aria-hidden="true">
        <path class="others" d={known.map((value) => `M${x(value).toFixed(1)} 5V14`).join("")} />
        <path class={colour(network)} d={`M${x(here).toFixed(1)} 1V17`} />
      </svg>
    </div>
  );
}

export function Statistics({ filters, channel, layer, network }: { filters: LayerFilters; channel: number; layer: string; network: string }) {
  const { max, mean, zeros, channels } = filters.shard;
  const rows: [string, number[], (value: number) => string][] = [
    ["strongest", max, figure],
    ["mean", mean, figure],
    ["zeros", zeros, (value) => percent(value, 1)],
  ];
  return (
    <table class="statistics">
      <thead>
        <tr>
          <th>
            <span class="unseen">statistic</span>
          </th>
          <th class="number">value</th>
          <th>{`among the ${count(channels)} of ${layer}`}</th>
          <th class="number">
            above<span class="unseen"> so many of them</span>
          </th>
        </tr>
      </thead>
      <tbody>
        {rows.map(([name, values, write]) => {
          const here = values[channel];
          if (typeof here !== "number") return null;
          const below = values.filter((value) => value < here).length;
          return (
            <tr key={name}>
              <td class="soft">{name}</td>
              <td class="number">{write(here)}</td>
              <td>
                <Rug values={values} here={here} network={network} write={write} />
              </td>
              <td class="number soft small">{percent(below / Math.max(values.length - 1, 1))}</td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}
