// Filters of two layers that go together, and those of either that have no partner.
import { partCommand } from "../commands";
import { useState } from "preact/hooks";
import type { LayerData, Match, NetworkData } from "../data";
import { isDrawn, topPatches, useFilters } from "../filters";
import { Button, Segmented } from "../parts/controls";
import { Note } from "../parts/note";
import { Patch, Reconstruction } from "../parts/patches";
import { colour, layer as layerOf, study, to } from "../state";
import { count, hundredth, pixels, plural } from "../words";
import { type Listed, listed, type Measure, type Pair, valueAt } from "./pair";

const FIRST = 8;

interface MatchesProps {
  pair: Pair;
  measure: Measure;
  /** Row and column of the chosen cell. */
  chosen: [number, number];
  list: Listed;
  onList: (list: Listed) => void;
}

export function Matches({ pair, measure, chosen, list, onList }: MatchesProps) {
  const [layer, otherLayer] = [pair.shard.rows[chosen[0]]!, pair.shard.columns[chosen[1]]!];
  const rows = listed(pair, list, layer, otherLayer);
  const { value } = valueAt(pair.shard, measure, ...chosen);
  const choices = [
    { value: "matched" as const, label: "matched" },
    { value: "one" as const, label: `only ${pair.one.title}` },
    { value: "other" as const, label: `only ${pair.other.title}` },
  ];
  return (
    <section class="pairs">
      <header class="row">
        <h2>
          <span class={colour(pair.one.name)}>{layer}</span> and <span class={colour(pair.other.name)}>{otherLayer}</span>
          {value === null ? "" : `, ${hundredth(value)}`}
        </h2>
        <Segmented label="Filters" choices={choices} value={list} onPick={onList} />
      </header>
      <p class="small soft">{sentence(pair, list, layer, otherLayer, rows.length)}</p>
      <List key={`${layer} ${otherLayer} ${list}`} pair={pair} list={list} rows={rows} />
    </section>
  );
}

function sentence(pair: Pair, list: Listed, layer: string, otherLayer: string, number: number): string {
  const field = (network: NetworkData, name: string) => {
    const size = layerOf(network.name, name)?.field?.size;
    return size ? pixels(size) : "unknown";
  };
  const fields = `${field(pair.one, layer)} and ${field(pair.other, otherLayer)} fields.`;
  if (list === "matched") return `${plural(number, "filter")} whose best match is in the other layer, mutual best first; correlation over pictures. ${fields}`;
  const [own, name, others] = list === "one" ? [pair.one, layer, pair.other] : [pair.other, otherLayer, pair.one];
  return `${plural(number, "filter")} of ${own.title} ${name} that no filter of any layer of ${others.title} matches well, the least matched first.`;
}

function List({ pair, list, rows }: { pair: Pair; list: Listed; rows: Match[] }) {
  const [most, setMost] = useState(FIRST);
  if (!pair.shard.matched.length) return <Note command={partCommand(study().name, "filters")}>Filters were not matched.</Note>;
  if (!rows.length) return <Note>{list === "matched" ? "No filter of either layer has its best match in the other." : "Every filter of this layer has a good match."}</Note>;
  return (
    <>
      <ol>
        {rows.slice(0, most).map((match) => (
          <li key={match.join()}>{list === "matched" ? <Two pair={pair} match={match} /> : <Alone pair={pair} list={list} match={match} />}</li>
        ))}
      </ol>
      {rows.length > most ? <Button onClick={() => setMost(most + 4 * FIRST)}>{`${count(Math.min(rows.length - most, 4 * FIRST))} more of ${count(rows.length)}`}</Button> : null}
    </>
  );
}

function Two({ pair, match }: { pair: Pair; match: Match }) {
  const [layer, channel, otherLayer, otherChannel, correlation, mutual] = match;
  const own = { layer, channel, otherLayer, otherChannel };
  const href = to({ page: "compare", one: pair.one.name, other: pair.other.name, pair: own, measure: "cka" });
  return (
    <div class="two">
      <Portrait network={pair.one} layer={layer} channel={channel} />
      <a class="bare between" href={href} title="Side by side">
        <span class="unseen">{`Filters ${channel} and ${otherChannel} side by side: correlation `}</span>
        <b>{hundredth(correlation)}</b>
        <span class="small soft">{mutual ? "mutual" : "one way"}</span>
      </a>
      <Portrait network={pair.other} layer={otherLayer} channel={otherChannel} />
    </div>
  );
}

function Alone({ pair, list, match }: { pair: Pair; list: Listed; match: Match }) {
  const [layer, channel, otherLayer, otherChannel, correlation] = match;
  const one = list === "one";
  const [network, name, number] = one ? ([pair.one, layer, channel] as const) : ([pair.other, otherLayer, otherChannel] as const);
  const [other, best, which] = one ? ([pair.other, otherLayer, otherChannel] as const) : ([pair.one, layer, channel] as const);
  return (
    <div class="two">
      <Portrait network={network} layer={name} channel={number} />
      <span class="between">
        <b>{which < 0 ? "none" : hundredth(correlation)}</b>
        <span class="small soft">{which < 0 ? "" : "at best"}</span>
      </span>
      {which < 0 ? <p class="small soft">This filter never changes over the pictures.</p> : <Portrait network={other} layer={best} channel={which} />}
    </div>
  );
}

/** A filter's strongest patches over their reconstructions, under its name. */
export function Portrait(props: { network: NetworkData; layer: string; channel: number; ranks?: number }) {
  const { network, channel, ranks = 6 } = props;
  const layer = layerOf(network.name, props.layer);
  return (
    <div class="portrait">
      <p>
        <a class="bare" href={to({ page: "filter", network: network.name, layer: props.layer, channel })}>
          <b>{channel}</b> <span class={`small ${colour(network.name)}`}>{`${network.title} ${props.layer}`}</span>
        </a>
      </p>
      {layer ? <Rows network={network} layer={layer} channel={channel} ranks={ranks} /> : null}
    </div>
  );
}

function Rows({ network, layer, channel, ranks }: { network: NetworkData; layer: LayerData; channel: number; ranks: number }) {
  const { value: filters, error } = useFilters(network, layer);
  if (error) return <Note warns>{error}</Note>;
  if (!layer.filters) return <p class="small soft">The study has no patches of its filters.</p>;
  if (!filters) return <span class="ranks" />;
  const patches = topPatches(filters, channel, ranks);
  const of = { network, layer, filters, channel };
  if (!patches.length) return <p class="small soft">Never fires.</p>;
  const at = { network: network.name, layer: layer.name };
  return (
    <ol class="ranks">
      {patches.map((patch) => (
        <li key={patch.rank}>
          <a
            class="bare"
            href={to({ page: "picture", picture: patch.picture, layer: at, at: [patch.row, patch.column], align: "field", all: false })}
            aria-label={`Picture ${patch.picture}, where filter ${channel} of ${layer.name} has rank ${patch.rank + 1}`}
          >
            <Patch of={of} patch={patch} />
            {isDrawn(filters, channel) ? <Reconstruction of={of} patch={patch} /> : null}
          </a>
        </li>
      ))}
    </ol>
  );
}
