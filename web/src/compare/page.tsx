// Two networks side by side: their layers' similarities, and the filters behind a cell.
import { partCommand } from "../commands";
import { useEffect, useState } from "preact/hooks";
import type { CompareRoute } from "../address";
import { square } from "../images";
import { useKeys } from "../keys";
import { Button, Segmented } from "../parts/controls";
import { Crumbs } from "../parts/crumbs";
import { colour, go, narrow, shown, study } from "../state";
import { plural } from "../words";
import { HeatMap } from "./map";
import { Matches } from "./matches";
import { Differing, Figures, Findings } from "./others";
import { type Listed, type Measure, MEASURES, type Pair, placeOf, ridgeOf, type Shape, shapeOf } from "./pair";
import { Ridge } from "./ridge";

const LISTS: Listed[] = ["matched", "one", "other"];

export function Title({ pair, path }: { pair: Pair; path: { text: string; href?: string }[] }) {
  return (
    <>
      <Crumbs path={path} />
      <h1>
        <span class={colour(pair.one.name)}>{pair.one.title}</span> and <span class={colour(pair.other.name)}>{pair.other.title}</span>
      </h1>
    </>
  );
}

/** The cell to look at if the address names none: on the ridge, in the middle of the deeper network. */
function firstCell(pair: Pair, measure: Measure, shape: Shape): [number, number] {
  const ridge = ridgeOf(pair.shard, measure, shape, "across");
  const x = Math.floor(shape.across.length * 0.55);
  return placeOf(shape, x, Math.max(ridge[x] ?? 0, 0));
}

function chosenCell(pair: Pair, route: CompareRoute, shape: Shape): [number, number] {
  const [row, column] = [pair.shard.rows.indexOf(route.pair?.layer ?? ""), pair.shard.columns.indexOf(route.pair?.otherLayer ?? "")];
  return row >= 0 && column >= 0 ? [row, column] : firstCell(pair, route.measure, shape);
}

/** The picture whose reconstructions stand on the axes: the one shown elsewhere, else the first with strips. */
function pictureOn(pair: Pair): number | null {
  const picture = shown.value ?? study().pictures.chosen[0] ?? null;
  const layer = pair.shard.rows[pair.shard.rows.length - 1]!;
  return picture !== null && square(study(), pair.one, layer, picture) ? picture : null;
}

function hasPools(pair: Pair): boolean {
  const [all, kept] = [shapeOf(pair, true, false), shapeOf(pair, false, false)];
  return all.across.length + all.down.length > kept.across.length + kept.down.length;
}

export function ComparePair({ pair, route }: { pair: Pair; route: CompareRoute }) {
  const [list, setList] = useState<Listed>("matched");
  const [pools, setPools] = useState(() => isPool(pair, route));
  const shape = shapeOf(pair, pools, narrow.value);
  const chosen = chosenCell(pair, route, shape);
  const change = (part: Partial<CompareRoute>) => go({ ...route, one: pair.one.name, other: pair.other.name, ...part });
  useKeys([{ keys: ["m"], label: "m", text: "Matched, only one, only the other", run: () => setList(LISTS[(LISTS.indexOf(list) + 1) % 3]!) }]);
  useEffect(() => setList("matched"), [pair]);
  const common = { pair, measure: route.measure, shape, along: narrow.value ? ("down" as const) : ("across" as const) };
  const pick = (row: number, column: number) =>
    change({ pair: { layer: pair.shard.rows[row]!, channel: null, otherLayer: pair.shard.columns[column]!, otherChannel: null } });
  return (
    <main class="page compare" id="content" tabIndex={-1}>
      <header class="title">
        <div>
          <Title pair={pair} path={[{ text: "Compare" }, { text: `${pair.one.title} and ${pair.other.title}` }]} />
          <p class="soft">{`Similarity of their layers over ${plural(pair.shard.pictures, "picture")}, ${MEASURES[route.measure].title}`}</p>
        </div>
        <Controls pair={pair} route={route} pools={pools} onPools={setPools} change={change} />
      </header>
      <div class="halves">
        <div>
          <HeatMap {...common} chosen={chosen} picture={pictureOn(pair)} onPick={pick} />
          <p class="small soft">{MEASURES[route.measure].what}</p>
          <Ridge {...common} />
          <Differing pair={pair} />
        </div>
        <Matches pair={pair} measure={route.measure} chosen={chosen} list={list} onList={setList} />
      </div>
      <Findings />
      <Figures pair={pair} />
    </main>
  );
}

/** Whether the address names a layer that the map leaves out at first. */
function isPool(pair: Pair, route: CompareRoute): boolean {
  if (route.pair === null) return false;
  const { turned, across, down } = shapeOf(pair, false, false);
  const [rows, columns] = turned ? [across, down] : [down, across];
  return !rows.some((row) => pair.shard.rows[row] === route.pair?.layer) || !columns.some((column) => pair.shard.columns[column] === route.pair?.otherLayer);
}

interface ControlsProps {
  pair: Pair;
  route: CompareRoute;
  pools: boolean;
  onPools: (pools: boolean) => void;
  change: (part: Partial<CompareRoute>) => void;
}

function Controls({ pair, route, pools, onPools, change }: ControlsProps) {
  const choices = (Object.keys(MEASURES) as Measure[]).map((value) => ({
    value,
    label: MEASURES[value].label,
    ...(value === "neighbours" && pair.shard.neighbours === null ? { off: `This part was not made: ${partCommand(study().name, "rows")}` } : {}),
  }));
  return (
    <div class="controls">
      {study().pairs.length > 1 ? <Pairs pair={pair} /> : null}
      {hasPools(pair) ? <Button onClick={() => onPools(!pools)}>{pools ? "Without pools" : "With pools"}</Button> : null}
      <Segmented label="Measure" choices={choices} value={route.measure} onPick={(measure) => change({ measure })} />
    </div>
  );
}

/** Other pairs of networks that were compared. */
function Pairs({ pair }: { pair: Pair }) {
  const { pairs, networks } = study();
  const title = (name: string) => networks.find((network) => network.name === name)?.title ?? name;
  const at = pairs.findIndex(({ one, other }) => one === pair.one.name && other === pair.other.name);
  const pick = (number: number) => {
    const next = pairs[number];
    if (next) go({ page: "compare", ...next, pair: null, measure: "cka" });
  };
  return (
    <label class="picks">
      <span class="unseen">Networks</span>
      <select class="button" value={String(at)} onChange={(event) => pick(Number(event.currentTarget.value))}>
        {pairs.map(({ one, other }, n) => (
          <option key={n} value={String(n)}>{`${title(one)} and ${title(other)}`}</option>
        ))}
      </select>
    </label>
  );
}
