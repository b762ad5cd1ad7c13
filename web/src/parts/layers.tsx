// Layers in the columns of depth: blocks, mats, lines and captions. One row of them is a lane.
import type { ComponentChildren } from "preact";
import type { Depth, Entry, Lane } from "../depth";
import type { LayerData, NetworkData } from "../data";
import { frameOf, inside, unitBox } from "../geometry";
import { square } from "../images";
import { colour, study } from "../state";
import { brief } from "../brief";
import { count, percent, pixels, squared } from "../words";
import { Tile } from "./tile";

/** Channels and size of its maps, as 512×28². */
export function sizeOf(layer: LayerData): string {
  if (layer.channels === null) return "";
  if (layer.rows === null || layer.columns === null) return count(layer.channels);
  return `${layer.channels}×${squared(layer.rows, layer.columns)}`;
}

export function fieldOf(layer: LayerData): string {
  return layer.field === null ? "no one field" : pixels(layer.field.size);
}

/** All that is known of a layer in a line. */
export function describe(network: NetworkData, layer: LayerData): string {
  const zeros = layer.sparsity === null ? [] : [`${percent(layer.sparsity)} zeros`];
  const sees = layer.field === null ? [] : [`sees ${pixels(layer.field.size)}`];
  return [`${network.title} ${layer.name}: ${layer.operation}`, sizeOf(layer), ...sees, ...zeros].filter(Boolean).join(", ");
}

/** What the unit in the middle of a layer sees, drawn over a square of the whole picture. */
export function FieldFrame({ network, layer }: { network: NetworkData; layer: LayerData }) {
  const size = study().views[network.view];
  if (layer.field === null || size === undefined) return null;
  const middle = (length: number | null) => Math.floor(((length ?? 1) - 1) / 2);
  const whole = frameOf(unitBox(layer.field, middle(layer.rows), middle(layer.columns)), size.height, size.width);
  const seen = inside(whole, size.height, size.width);
  const long = Math.max(size.height, size.width);
  const [down, across] = [(long - size.height) / 2, (long - size.width) / 2];
  const place = {
    top: `${(100 * (seen.top + down)) / long}%`,
    left: `${(100 * (seen.left + across)) / long}%`,
    height: `${(100 * (seen.bottom - seen.top)) / long}%`,
    width: `${(100 * (seen.right - seen.left)) / long}%`,
  };
  return <i class="frame" style={place} />;
}

/** A layer as what it keeps of a picture; a plain square where that is not drawn. */
export function Block(props: {
  network: NetworkData;
  layer: LayerData;
  picture: number | null;
  framed?: boolean | undefined;
}) {
  const { network, layer, picture } = props;
  const part = picture === null ? null : square(study(), network, layer.name, picture);
  return (
    <span class={part ? "block" : "block plain"}>
      {part ? <Tile part={part} shape={1} /> : null}
      {props.framed ? <FieldFrame network={network} layer={layer} /> : null}
    </span>
  );
}

export interface LaneProps {
  depth: Depth;
  lane: Lane;
  label: ComponentChildren;
  picture: number | null;
  framed?: boolean;
  /** Sizes of maps under the names, where there is room. */
  sizes?: boolean;
  chosen?: string | null;
  lit?: number | null;
  href: (entry: Entry) => string | undefined;
  onHover?: (column: number | null) => void;
}

function Caption({ network, entry, sizes, chosen }: { network: NetworkData; entry: Entry; sizes: boolean | undefined; chosen: boolean }) {
  const folded = entry.layers.length > 1;
  return (
    <span class="caption">
      <b class={chosen ? "chosen" : undefined}>{brief(network, entry.layer.name)}</b>
      {sizes ? (
        <span class="size">
          <span class="unseen">, </span>
          {folded ? `last of ${entry.layers.length}` : sizeOf(entry.layer)}
        </span>
      ) : null}
      <span>
        <span class="unseen">{entry.layer.field === null ? ", " : ", sees "}</span>
        {fieldOf(entry.layer)}
      </span>
    </span>
  );
}

function Stop(props: LaneProps & { entry: Entry }) {
  const { entry, lane } = props;
  const chosen = props.chosen === entry.layer.name;
  const href = props.href(entry);
  const words = describe(lane.network, entry.layer);
  const inner = (
    <>
      <Block network={lane.network} layer={entry.layer} picture={props.picture} framed={props.framed} />
      <Caption network={lane.network} entry={entry} sizes={props.sizes} chosen={chosen} />
    </>
  );
  const common = {
    class: `stop${chosen ? " chosen" : ""}${props.lit === entry.column ? " lit" : ""}`,
    style: { gridColumn: entry.column + 2 },
    title: words,
    "data-column": entry.column,
    onMouseEnter: () => props.onHover?.(entry.column),
    onFocus: () => props.onHover?.(entry.column),
  };
  if (href === undefined) return <span {...common}>{inner}</span>;
  return (
    <a {...common} href={href} aria-current={chosen ? "true" : undefined}>
      {inner}
    </a>
  );
}

/** One network's layers, each in its column, joined by mats and lines. */
export function LaneRow(props: LaneProps) {
  const { lane, depth } = props;
  const first = lane.entries[0]?.column ?? 0;
  const last = lane.entries[lane.entries.length - 1]?.column ?? 0;
  return (
    <div class={`lane ${colour(lane.network.name)}`} role="group" aria-label={`Layers of ${lane.network.title}`} style={{ "--columns": depth.columns }} onMouseLeave={() => props.onHover?.(null)}>
      <div class="label">{props.label}</div>
      <i class="rail" style={{ gridColumn: `${first + 2} / ${last + 3}` }} />
      {lane.entries.map((entry) => (
        <Stop key={entry.layer.name} {...props} entry={entry} />
      ))}
    </div>
  );
}

/** Brackets over the blocks of the network that gives the columns; each folds or unfolds its block. */
export function Brackets({ depth, onFold }: { depth: Depth; onFold: (block: string) => void }) {
  return (
    <div class="lane brackets" style={{ "--columns": depth.columns }}>
      {depth.brackets.map(({ block, first, last, layers, folded }) => (
        <button
          type="button"
          key={first}
          style={{ gridColumn: `${first + 2} / ${last + 3}` }}
          aria-expanded={!folded}
          disabled={layers === 1}
          title={folded ? `${block}: ${layers} layers, folded` : `Fold ${block}`}
          onClick={() => onFold(block)}
        >
          <span>{/^\d+$/.test(block) ? `Block ${block}` : brief(depth.deepest, block)}</span>
          {layers > 1 ? <span aria-hidden="true">{folded ? "+" : "\u2013"}</span> : null}
        </button>
      ))}
    </div>
  );
}
