// Zeros over depth: a line for each network over the columns of its layers.
import { mark, path, scale, type Scale } from "../charts";
import type { Depth, Entry, Lane } from "../depth";
import { useWidth } from "../parts/width";
import { colour, study } from "../state";
import { list, percent } from "../words";

const HEIGHT = 132;
const [TOP, BOTTOM] = [24, 116];
/** Shares with a line of their own. */
const SHARES = [1, 0.5, 0];

interface Spot {
  lane: Lane;
  entry: Entry;
  share: number;
  x: number;
  y: number;
}

function spotsOf(lane: Lane, x: (column: number) => number, y: (share: number) => number): Spot[] {
  return lane.entries.flatMap((entry) => {
    const share = entry.layer.sparsity;
    return share === null ? [] : [{ lane, entry, share, x: x(entry.column), y: y(share) }];
  });
}

/** Whether a label belongs above its spot: where its neighbours lie lower. */
function peaks(spots: Spot[], at: number): boolean {
  const here = spots[at]?.share ?? 0;
  return here >= ((spots[at - 1]?.share ?? 0) + (spots[at + 1]?.share ?? 0)) / (spots[at - 1] && spots[at + 1] ? 2 : 1);
}

interface Label {
  spot: Spot;
  y: number;
}

/** Labels of each network's first, last, least and most, where they stand free of others. */
function labelsOf(lanes: Spot[][]): Label[] {
  const all = lanes.flat();
  const labels: Label[] = [];
  for (const spots of lanes) {
    const shares = spots.map((spot) => spot.share);
    const wanted = [shares.indexOf(Math.max(...shares)), shares.indexOf(Math.min(...shares)), spots.length - 1, 0];
    for (const at of wanted) {
      const spot = spots[at];
      if (spot === undefined) continue;
      const y = peaks(spots, at) || spot.y + 20 > HEIGHT - 2 ? spot.y - 10 : spot.y + 20;
      const free = (x: number, other: number, gap: number) => Math.abs(x - spot.x) > 34 || Math.abs(other - y) > gap;
      const clear = labels.every((label) => free(label.spot.x, label.y, 14)) && all.every((one) => free(one.x, one.y + 5, 8));
      if (clear) labels.push({ spot, y });
    }
  }
  return labels;
}

function Line({ spots, lit }: { spots: Spot[]; lit: number | null }) {
  const first = spots[0];
  if (first === undefined) return null;
  const name = first.lane.network.name;
  const place = study().networks.indexOf(first.lane.network);
  return (
    <g class={colour(name)}>
      <path d={path(spots)} class="line" />
      {spots.map((spot) => (
        <path
          key={spot.entry.layer.name}
          d={mark(place, spot.entry.column === lit ? 6.5 : 5)}
          class="mark"
          transform={`translate(${spot.x} ${spot.y})`}
        />
      ))}
    </g>
  );
}

/** What a column says, for screen readers. */
function spoken(lanes: Spot[][], column: number): string {
  const here = lanes.flat().filter((spot) => spot.entry.column === column);
  return list(here.map((spot) => `${spot.lane.network.title} ${spot.entry.layer.name} ${percent(spot.share)}`)) || "no layer";
}

function Axis({ y }: { y: Scale }) {
  return (
    <div class="label">
      <h3>Sparsity</h3>
      <p>activations that are exactly zero</p>
      <ol aria-hidden="true">
        {SHARES.map((share) => (
          <li key={share} style={{ top: `${y(share) - 8}px` }}>
            {percent(share)}
          </li>
        ))}
      </ol>
    </div>
  );
}

function Drawing({ lanes, lit, width, y }: { lanes: Spot[][]; lit: number | null; width: number; y: Scale }) {
  const here = lanes.flatMap((spots) => spots.filter((spot) => spot.entry.column === lit));
  const labels = lit === null ? labelsOf(lanes) : here.map((spot, at): Label => ({ spot, y: labelY(here, at) }));
  return (
    <svg width={width} height={HEIGHT} aria-hidden="true">
      {SHARES.map((share) => (
        <line key={share} class="grid" x1="0" x2={width} y1={y(share)} y2={y(share)} />
      ))}
      {lanes.map((spots, at) => (
        <Line key={at} spots={spots} lit={lit} />
      ))}
      {labels.map(({ spot, y: at }) => (
        <text key={`${spot.lane.network.name} ${spot.entry.layer.name}`} class={colour(spot.lane.network.name)} x={spot.x} y={at}>
          {percent(spot.share)}
        </text>
      ))}
    </svg>
  );
}

export function Sparsity({ depth, lit, onHover }: { depth: Depth; lit: number | null; onHover: (column: number | null) => void }) {
  const [element, width] = useWidth<HTMLDivElement>();
  const step = (width + 6) / depth.columns;
  const y = scale([0, 1], [BOTTOM, TOP]);
  const lanes = depth.lanes.map((lane) => spotsOf(lane, (column) => (column + 0.5) * step - 3, y));
  const move = (event: KeyboardEvent) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (by === undefined) return;
    event.preventDefault();
    onHover(Math.min(Math.max((lit ?? (by > 0 ? -1 : depth.columns)) + by, 0), depth.columns - 1));
  };
  return (
    <div class="lane chart" style={{ "--columns": depth.columns }}>
      <Axis y={y} />
      <div
        ref={element}
        class="plot"
        tabIndex={0}
        role="slider"
        aria-label="Share of zeros by layer"
        aria-valuemin={0}
        aria-valuemax={depth.columns - 1}
        aria-valuenow={lit ?? 0}
        aria-valuetext={spoken(lanes, lit ?? 0)}
        onKeyDown={move}
        onBlur={() => onHover(null)}
        onMouseMove={(event) => onHover(Math.min(depth.columns - 1, Math.floor((event.offsetX + 3) / step)))}
        onMouseLeave={() => onHover(null)}
      >
        <Drawing lanes={lanes} lit={lit} width={width} y={y} />
      </div>
    </div>
  );
}

/** Where the label of one of a column's spots stands: the highest above, others below their spots. */
function labelY(here: Spot[], at: number): number {
  const spot = here[at] as Spot;
  return here.every((other) => other.y >= spot.y) || spot.y + 20 > HEIGHT - 2 ? spot.y - 10 : spot.y + 20;
}
