// On a phone depth runs down: the deepest network at the left, another one at the right, under layers that see as much.
import { useState } from "preact/hooks";
import { brief } from "../brief";
import type { NetworkData } from "../data";
import { type Depth, type Entry, type Lane } from "../depth";
import { filtersLink, layerLink } from "../pages/overview";
import { Segmented } from "../parts/controls";
import { Block, describe, fieldOf, sizeOf } from "../parts/layers";
import { colour } from "../state";

function Words({ network, entry }: { network: NetworkData; entry: Entry }) {
  const { layer } = entry;
  const size = sizeOf(layer);
  return (
    <span class="words">
      <b>{brief(network, layer.name)}</b>
      <span>{[size, fieldOf(layer)].filter(Boolean).join(", ")}</span>
      <span class="track">{layer.sparsity === null ? null : <i style={{ width: `${100 * layer.sparsity}%` }} />}</span>
    </span>
  );
}

function Stop({ lane, entry, picture, side }: { lane: Lane; entry: Entry | undefined; picture: number | null; side: string }) {
  if (entry === undefined) return <span class={`fall ${side}`} />;
  const inner = (
    <>
      <Block network={lane.network} layer={entry.layer} picture={picture} framed />
      <Words network={lane.network} entry={entry} />
    </>
  );
  const kind = `stop fall ${side} ${colour(lane.network.name)}`;
  const href = layerLink(lane.network, entry.layer.name, picture);
  if (href === undefined) return <span class={kind}>{inner}</span>;
  return (
    <a class={kind} href={href} title={describe(lane.network, entry.layer)}>
      {inner}
    </a>
  );
}

export function Down({ depth, picture }: { depth: Depth; picture: number | null }) {
  const left = depth.lanes.find((lane) => lane.network === depth.deepest) as Lane;
  const others = depth.lanes.filter((lane) => lane !== left);
  const [picked, setPicked] = useState(others[0]?.network.name ?? "");
  const right = others.find((lane) => lane.network.name === picked);
  const at = (lane: Lane, column: number) => lane.entries.find((entry) => entry.column === column);
  const columns = Array.from({ length: depth.columns }, (_, column) => column);
  const choices = others.map(({ network }) => ({ value: network.name, label: network.title }));
  return (
    <section class="down" aria-label="Layers over depth">
      {others.length > 1 ? <Segmented label="At the right" choices={choices} value={picked} onPick={setPicked} /> : null}
      <div class="heads">
        <Head lane={left} />
        <span class="small soft">bars: zeros; depth runs down</span>
        {right ? <Head lane={right} /> : <span />}
      </div>
      <div class="falls">
        {right ? <i class={`rail ${colour(right.network.name)}`} /> : null}
        {columns.map((column) => (
          <div class="row" key={column}>
            <Stop lane={left} entry={at(left, column)} picture={picture} side="left" />
            {right ? <Stop lane={right} entry={at(right, column)} picture={picture} side="right" /> : null}
          </div>
        ))}
      </div>
    </section>
  );
}

function Head({ lane }: { lane: Lane }) {
  return (
    <h2 class={colour(lane.network.name)}>
      <a class="bare" href={filtersLink(lane.network)}>
        {lane.network.title}
      </a>
    </h2>
  );
}

