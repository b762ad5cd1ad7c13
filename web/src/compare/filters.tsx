// Two filters side by side: a page of its own.
import type { CompareRoute } from "../address";
import type { Match, NetworkData } from "../data";
import { Button } from "../parts/controls";
import { Note } from "../parts/note";
import { layer as layerOf, to } from "../state";
import { hundredth, pixels } from "../words";
import { Portrait } from "./matches";
import { Title } from "./page";
import { listed, type Pair } from "./pair";

type Sides = NonNullable<CompareRoute["pair"]>;

export function PairOfFilters({ pair, route, sides }: { pair: Pair; route: CompareRoute; sides: Sides }) {
  const { layer, otherLayer } = sides;
  const rows = listed(pair, "matched", layer, otherLayer);
  const at = rows.findIndex((match) => match[1] === sides.channel && match[3] === sides.otherChannel);
  const cell = { ...route, pair: { layer, otherLayer, channel: null, otherChannel: null } };
  const path = [
    { text: "Compare", href: to({ ...cell, pair: null }) },
    { text: `${pair.one.title} and ${pair.other.title}`, href: to({ ...cell, pair: null }) },
    { text: `${layer} and ${otherLayer}`, href: to(cell) },
    { text: `${sides.channel} and ${sides.otherChannel}` },
  ];
  const step = (match: Match | undefined) => (match ? to({ ...route, pair: { layer, otherLayer, channel: match[1], otherChannel: match[3] } }) : null);
  return (
    <main class="page compare" id="content" tabIndex={-1}>
      <header class="title">
        <div>
          <Title pair={pair} path={path} />
          <p class="soft">{words(pair, sides, rows[at])}</p>
        </div>
        {rows.length > 1 ? (
          <div class="controls">
            <Button href={step(rows[at - 1])} off={at < 1} label="Pair before">←</Button>
            <span class="soft">{at < 0 ? "" : `${at + 1} of ${rows.length}`}</span>
            <Button href={step(rows[at + 1])} off={at + 1 >= rows.length} label="Next pair">→</Button>
          </div>
        ) : null}
      </header>
      <div class="facing">
        <Side network={pair.one} layer={layer} channel={sides.channel} />
        <Side network={pair.other} layer={otherLayer} channel={sides.otherChannel} />
      </div>
      <p class="small soft">Above: where each fires most, at most once a picture, strongest first. Below: the reconstructions there, stretched, where they are drawn.</p>
    </main>
  );
}

function Side({ network, layer, channel }: { network: NetworkData; layer: string; channel: number | null }) {
  if (channel === null || !known(network.name, layer, channel)) return <Note>{missing(layer, channel)}</Note>;
  return <Portrait network={network} layer={layer} channel={channel} ranks={9} />;
}

function known(network: string, name: string, channel: number): boolean {
  const channels = layerOf(network, name)?.channels ?? null;
  return channels === null || channel < channels;
}

function missing(layer: string, channel: number | null): string {
  return channel === null ? `No filter of ${layer} is named.` : `${layer} has no filter ${channel}.`;
}

function words(pair: Pair, sides: Sides, match: Match | undefined): string {
  const field = (network: string, name: string) => {
    const size = layerOf(network, name)?.field?.size;
    return size ? `sees ${pixels(size)}` : "sees all";
  };
  const fields = `${sides.layer} ${field(pair.one.name, sides.layer)}, ${sides.otherLayer} ${field(pair.other.name, sides.otherLayer)}`;
  if (!match) return `Not each other's best match in these layers; ${fields}.`;
  return `Correlation ${hundredth(match[4])} over ${pair.shard.pictures} pictures, ${match[5] ? "each the other's best match" : "best match one way"}; ${fields}.`;
}
