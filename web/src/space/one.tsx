// One patch, or one filter, chosen on a plane.
import { useState } from "preact/hooks";
import { Button } from "../parts/controls";
import { Note } from "../parts/note";
import { className } from "../pictures";
import { useLoaded } from "../shards";
import { colour, to } from "../state";
import { count, figure, hundredth, percent } from "../words";
import { alike, valuesOf } from "./activations";
import { Filters, Strip } from "./filters";
import { Place, useStrongest } from "./loupe";
import { besides, drawnOn, type Space } from "./model";
import { type PanelProps, Suggested, Take } from "./panel";
import { Patches, PatchPicture, pictureAt, useNames } from "./patch";

const READ_AT_ONCE = 4_000_000; // values; more are read when asked for
const NEAREST = 8;

export function PatchPanel(props: PanelProps & { patch: number }) {
  const { space, patch, labels } = props;
  const name = useNames([space.picture[patch] ?? 0]);
  if (patch >= space.count) return <Note>{`There is no patch ${patch}; the plane has ${count(space.count)}, counted from 0.`}</Note>;
  const picture = space.picture[patch]!;
  const label = labels?.(picture) ?? -1;
  return (
    <>
      <p class="soft">
        Of <a href={to(pictureAt(space, patch))}>{name(picture)}</a>
        {label < 0 ? "" : `, ${className(label)}`}, unit {space.row[patch]}, {space.column[patch]}.{props.linked}
      </p>
      <a class="patch bare" href={to(pictureAt(space, patch))} aria-label={`The picture ${name(picture)} at this patch`}>
        <PatchPicture space={space} patch={patch} side={180} />
        <Place space={space} patch={patch} />
      </a>
      <p class="takes">
        <Button onClick={() => props.choose({ picture })}>All patches of this picture</Button>
        {space.shard.regions.filter(({ members }) => members.includes(patch)).map(({ number }) => (
          <Button key={number} onClick={() => props.choose({ region: number })}>{`Its region: ${number}`}</Button>
        ))}
      </p>
      <Suggested {...props} />
      <Take {...props} />
      <Strongest space={space} patch={patch} />
      <section>
        <h2>Beside it on the plane</h2>
        <Patches space={space} patches={besides(space, drawnOn(props.arrangement), patch, NEAREST)} />
      </section>
      <Alike key={patch} space={space} patch={patch} />
      <section>
        <h2>Against all others</h2>
        <Filters space={space} members={Int32Array.of(patch)} of={`patch ${patch}`} />
      </section>
    </>
  );
}

function Strongest({ space, patch }: { space: Space; patch: number }) {
  const filters = useStrongest(space, patch, 8);
  return (
    <section>
      <h2>Its strongest filters</h2>
      {filters === null ? <p class="soft small">Reading activations…</p> : null}
      {filters?.length === 0 ? <p class="soft small">No filter fires.</p> : null}
      <ol class="filters">
        {filters?.map(([channel, value]) => (
          <li key={channel}>
            <a class="filter bare" href={to({ page: "filter", network: space.network.name, layer: space.layer.name, channel })}>
              <b>
                <span class="unseen">Filter </span>
                {channel}
              </b>
              <Strip space={space} channel={channel} />
              <span class={`rates ${colour(space.network.name)}`}>
                <i style={{ width: `${(100 * value) / filters[0]![1]}%` }} />
              </span>
              <span class="number">{figure(value)}</span>
            </a>
          </li>
        ))}
      </ol>
    </section>
  );
}

/** The nearest in the representation: read at once where that is little. */
function Alike({ space, patch }: { space: Space; patch: number }) {
  const [asked, setAsked] = useState(valuesOf(space) <= READ_AT_ONCE);
  const key = asked ? `alike ${space.network.name} ${space.layer.name} ${patch}` : null;
  const found = useLoaded(key, () => alike(space, patch, NEAREST));
  return (
    <section>
      <h2>Most alike to the layer</h2>
      {asked ? null : <Button onClick={() => setAsked(true)}>{`Compare with all ${count(space.count)}`}</Button>}
      {asked && !found.value && !found.error ? <p class="soft small">Reading activations…</p> : null}
      {found.error ? <Note warns>{found.error}</Note> : null}
      {found.value ? <Patches space={space} patches={found.value} /> : null}
    </section>
  );
}

/** Suggested regions among whose ten filters of most contrast it is. */
function Contrasts({ space, channel, choose }: PanelProps & { channel: number }) {
  const found = space.shard.regions.flatMap(({ number, filters }) => {
    const own = filters.find((filter) => filter.channel === channel);
    return own ? [{ number, contrast: own.contrast }] : [];
  });
  if (found.length === 0) return null;
  return (
    <p class="takes">
      {found.map(({ number, contrast }) => (
        <Button key={number} onClick={() => choose({ region: number })}>{`Region ${number}: contrast ${hundredth(contrast)}`}</Button>
      ))}
    </p>
  );
}

export function FilterPanel(props: PanelProps & { channel: number }) {
  const { space, channel } = props;
  const { channels, scale } = space.shard.activations;
  if (channel >= channels) return <Note>{`There is no filter ${channel}; ${space.layer.name} has ${count(channels)}, counted from 0.`}</Note>;
  const zeros = space.histogram[channel * 256]! / space.count;
  const largest = 255 * scale[channel]!;
  const link = { page: "filter" as const, network: space.network.name, layer: space.layer.name, channel };
  return (
    <>
      <p class="soft">
        {largest > 0 ? `Fires at ${percent(1 - zeros, 1)} of the patches, up to ${figure(largest)}. Where it does not, the plane is dimmed.` : "Never fires at a patch of the plane."}
      </p>
      <p class="scale small">
        <span>0</span> <i /> <span>{figure(largest)}</span>
      </p>
      <p class="takes">
        <Button href={to(link)}>Open filter {channel}</Button>
        <Button off={channel === 0} onClick={() => props.choose({ filter: channel - 1 })} label="Filter before">←</Button>
        <Button off={channel === channels - 1} onClick={() => props.choose({ filter: channel + 1 })} label="Next filter">→</Button>
      </p>
      <Contrasts {...props} />
      <Take {...props} />
      <section>
        <h2>Strongest patches of the study</h2>
        <div class="ninefold">
          <Strip space={space} channel={channel} ranks={9} />
        </div>
      </section>
    </>
  );
}
