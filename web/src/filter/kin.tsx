// Filters that go together with one: neighbours in its layer, and its match in other networks.
import type { LayerData, NetworkData } from "../data";
import { topPatches, useFilters, type LayerFilters } from "../filters";
import { Patch } from "../parts/patches";
import { colour, layer as layerOf, network as networkOf, study, to } from "../state";
import { count, hundredth } from "../words";

/** Neighbours shown, and patches of each. */
const [NEIGHBOURS, PATCHES] = [5, 4];

interface Kin {
  network: NetworkData;
  layer: LayerData;
  filters: LayerFilters;
  channel: number;
}

export function Few({ network, layer, filters, channel }: Kin) {
  return (
    <span class="few">
      {topPatches(filters, channel, PATCHES).map((patch) => (
        <Patch key={patch.rank} of={{ network, layer, filters, channel }} patch={patch} />
      ))}
    </span>
  );
}

function Row({ kin, correlation }: { kin: Kin; correlation: number }) {
  const { network, layer, channel } = kin;
  return (
    <li>
      <a class="kin bare" href={to({ page: "filter", network: network.name, layer: layer.name, channel })}>
        <b>
          <span class="unseen">Filter </span>
          {channel}
        </b>
        <Few {...kin} />
        <span class="value small soft">
          {hundredth(correlation)}
          <i class="track">
            <i style={{ width: `${100 * Math.max(correlation, 0)}%` }} />
          </i>
        </span>
      </a>
    </li>
  );
}

export function Neighbours(kin: Kin & { patches: number | null }) {
  const { filters, channel, layer } = kin;
  const { neighbours } = filters.shard;
  const near = neighbours?.channels[channel]?.slice(0, NEIGHBOURS) ?? [];
  return (
    <section aria-labelledby="neighbours-title">
      <h2 id="neighbours-title">{`Neighbours in ${layer.name}`}</h2>
      {neighbours === null ? (
        <p class="small soft">Neighbours are found over the patches of a plane; this layer has none.</p>
      ) : (
        <>
          <ul class="kinship">
            {near.map((other, at) => (
              <Row key={other} kin={{ ...kin, channel: other }} correlation={neighbours.correlations[channel]?.[at] ?? 0} />
            ))}
          </ul>
          <p class="small soft">
            {near.length === 0 ? "This filter never changes over the patches of the plane." : `Correlation over the ${kin.patches === null ? "" : `${count(kin.patches)} `}patches of the plane.`}
          </p>
        </>
      )}
    </section>
  );
}

interface MatchProps {
  kin: Kin;
  other: NetworkData;
  match: NonNullable<LayerFilters["shard"]["matches"][string][number]>;
}

function Match({ kin, other, match }: MatchProps) {
  const layer = layerOf(other.name, match.layer);
  const { value } = useFilters(other, layer);
  const channel = match.channel;
  const pair = { layer: kin.layer.name, channel: kin.channel, otherLayer: match.layer, otherChannel: channel };
  const there = study().pairs.some(({ one, other: second }) => one === kin.network.name && second === other.name);
  const target = { page: "compare", one: kin.network.name, other: other.name, pair, measure: "cka" } as const;
  return (
    <div class="match">
      <a class="bare" href={to({ page: "filter", network: other.name, layer: match.layer, channel })} aria-label={`Filter ${channel} of ${other.title} ${match.layer}`}>
        {value && layer ? <Few network={other} layer={layer} filters={value} channel={channel} /> : null}
      </a>
      <p>
        <a class={colour(other.name)} href={to({ page: "filter", network: other.name, layer: match.layer, channel })}>{`${match.layer}, filter ${channel}`}</a>
        <span class="soft small">{` correlation ${hundredth(match.correlation)}, ${match.mutual ? "mutual" : "one way"}`}</span>
      </p>
      {there ? (
        <a class="small" href={to(target)}>
          the pair side by side
        </a>
      ) : null}
    </div>
  );
}

/** The best match in every other network it was compared with. */
export function Matches(kin: Kin) {
  const all = Object.entries(kin.filters.shard.matches).flatMap(([name, matches]) => {
    const other = networkOf(name);
    return other === undefined ? [] : [{ other, match: matches[kin.channel] ?? null }];
  });
  return (
    <>
      {all.map(({ other, match }) => (
        <section key={other.name} class="in-other">
          <h2>{`In ${other.title}`}</h2>
          {match === null ? <p class="small soft">No filter there goes together with it.</p> : <Match kin={kin} other={other} match={match} />}
        </section>
      ))}
    </>
  );
}
