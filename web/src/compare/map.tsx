// The heat map: how alike each layer of one network is to each of the other.
import { useRef, useState } from "preact/hooks";
import type { NetworkData } from "../data";
import { brief } from "../brief";
import { square } from "../images";
import { Tile } from "../parts/tile";
import { colour, study } from "../state";
import { hundredth } from "../words";
import { css, ink, shade } from "./ink";
import { type Measure, type Pair, placeOf, ridgeOf, type Shape, short, valueAt, type Value } from "./pair";

export interface MapProps {
  pair: Pair;
  measure: Measure;
  shape: Shape;
  along: "across" | "down";
  /** Row and column of the chosen cell. */
  chosen: [number, number];
  /** The picture whose reconstructions stand on the axes; null: none are there. */
  picture: number | null;
  onPick: (row: number, column: number) => void;
}

const MOVES: Record<string, [number, number]> = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export function HeatMap(props: MapProps) {
  const { pair, shape } = props;
  const { grid, pointed, setPointed, move } = useMoves(props);
  const [across, down] = shape.turned ? [pair.one, pair.other] : [pair.other, pair.one];
  const names = shape.turned ? [pair.shard.rows, pair.shard.columns] : [pair.shard.columns, pair.shard.rows];
  const ridge = ridgeOf(pair.shard, props.measure, shape, props.along);
  const on = (x: number, y: number) => (props.along === "across" ? ridge[x] === y : ridge[y] === x);
  return (
    <figure class="map">
      <div class="scrolls">
        <div
          class="grid"
          role="grid"
          ref={grid}
          aria-label={`Similarity of ${across.title} (columns) and ${down.title} (rows)`}
          onKeyDown={move}
          style={{ "--columns": shape.across.length }}
          onMouseLeave={() => setPointed(null)}
        >
          <Heads {...props} network={across} names={names[0]!} />
          {shape.down.map((layer, y) => (
            <div role="row" class="line" key={layer}>
              <Head network={down} name={names[1]![layer]!} picture={props.picture} strong={isAt(props.chosen, shape, layer, "down")} role="rowheader" />
              {shape.across.map((_, x) => (
                <Cell key={x} {...props} x={x} y={y} ridge={on(x, y)} onPoint={setPointed} />
              ))}
            </div>
          ))}
        </div>
      </div>
      <Readout {...props} at={pointed ?? props.chosen} />
    </figure>
  );
}

function Heads({ shape, chosen, picture, network, names }: MapProps & { network: NetworkData; names: string[] }) {
  return (
    <div role="row" class="line">
      <span role="columnheader" class="corner">
        <span class="unseen">layers</span>
      </span>
      {shape.across.map((layer) => (
        <Head
          key={layer}
          network={network}
          name={names[layer]!}
          picture={picture}
          strong={isAt(chosen, shape, layer, "across")}
          role="columnheader"
        />
      ))}
    </div>
  );
}

/** Arrows go from cell to cell. */
function useMoves({ shape, chosen }: MapProps) {
  const grid = useRef<HTMLDivElement>(null);
  const [pointed, setPointed] = useState<[number, number] | null>(null);
  const move = (event: KeyboardEvent) => {
    const step = MOVES[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const at = placed(shape, pointed ?? chosen);
    const [x, y] = [clamp(at[0] + step[0], shape.across.length), clamp(at[1] + step[1], shape.down.length)];
    setPointed(placeOf(shape, x, y));
    grid.current?.querySelector<HTMLElement>(`[data-at="${x},${y}"]`)?.focus();
  };
  return { grid, pointed, setPointed, move };
}

function clamp(value: number, length: number): number {
  return Math.min(Math.max(value, 0), length - 1);
}

/** The place in the drawn map of a row and a column of the shard. */
function placed(shape: Shape, [row, column]: [number, number]): [number, number] {
  const [x, y] = shape.turned ? [row, column] : [column, row];
  return [Math.max(shape.across.indexOf(x), 0), Math.max(shape.down.indexOf(y), 0)];
}

function isAt([row, column]: [number, number], shape: Shape, layer: number, axis: "across" | "down"): boolean {
  return layer === ((axis === "across") === shape.turned ? row : column);
}

function Head(props: { network: NetworkData; name: string; picture: number | null; strong: boolean; role: "columnheader" | "rowheader" }) {
  const { network, name, picture } = props;
  const part = picture === null ? null : square(study(), network, name, picture);
  return (
    <span role={props.role} class={props.strong ? "head strong" : "head"} title={`${network.title} ${name}`}>
      <span class="cut-off">{brief(network, name)}</span>
      {part ? <Tile part={part} /> : null}
    </span>
  );
}

function words({ shard, one, other }: Pair, row: number, column: number): string {
  return `${one.title} ${shard.rows[row]} and ${other.title} ${shard.columns[column]}`;
}

function said(value: Value, measure: Measure): string {
  if (value.value === null) return "no value";
  const between = value.low === null || value.high === null ? "" : `, interval ${hundredth(value.low)} to ${hundredth(value.high)}`;
  return `${hundredth(value.value)}${between}${value.control === null ? "" : `, ${measure === "neighbours" ? "by chance" : "pictures shuffled"} ${hundredth(value.control)}`}`;
}

function Cell(props: MapProps & { x: number; y: number; ridge: boolean; onPoint: (at: [number, number]) => void }) {
  const { pair, shape, x, y } = props;
  const [row, column] = placeOf(shape, x, y);
  const value = valueAt(pair.shard, props.measure, row, column);
  const chosen = row === props.chosen[0] && column === props.chosen[1];
  const back = shade(value.value ?? 0);
  const pick = () => props.onPick(row, column);
  return (
    <span
      role="gridcell"
      tabIndex={chosen ? 0 : -1}
      data-at={`${x},${y}`}
      class={`cell${props.ridge ? " ridge" : ""}${chosen ? " chosen" : ""}`}
      style={{ background: css(back), color: ink(back) }}
      aria-selected={chosen}
      aria-label={`${words(pair, row, column)}: ${said(value, props.measure)}${props.ridge ? "; on the ridge" : ""}`}
      onClick={pick}
      onKeyDown={(event) => event.key === "Enter" && pick()}
      onMouseEnter={() => props.onPoint([row, column])}
      onFocus={() => props.onPoint([row, column])}
    >
      {value.value === null ? "·" : short(value.value)}
    </span>
  );
}

/** What the cell under the cursor says, its layers large. */
function Readout({ pair, measure, at, picture }: MapProps & { at: [number, number] }) {
  const value = valueAt(pair.shard, measure, ...at);
  const layers = [
    [pair.one, pair.shard.rows[at[0]]!],
    [pair.other, pair.shard.columns[at[1]]!],
  ] as const;
  return (
    <figcaption class="readout small">
      {layers.map(([network, name]) => {
        const part = picture === null ? null : square(study(), network, name, picture);
        return part ? <span key={network.name} class="layer"><Tile part={part} /></span> : null;
      })}
      <span>
        <b class={colour(pair.one.name)}>{`${pair.one.title} ${layers[0][1]}`}</b> and <b class={colour(pair.other.name)}>{`${pair.other.title} ${layers[1][1]}`}</b>
        <br />
        <span class="soft">{said(value, measure)}</span>
      </span>
      <span class="key">
        <span>0</span> <i class="ramp" /> <span>1</span>
        <i class="box" /> <span>most alike</span>
      </span>
    </figcaption>
  );
}
