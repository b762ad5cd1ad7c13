// The filters of some patches: by contrast against those elsewhere, or by mean.
import { useState } from "preact/hooks";
import { topPatches, useFilters } from "../filters";
import { Segmented } from "../parts/controls";
import { Note } from "../parts/note";
import { Patch } from "../parts/patches";
import { type Loaded, useLoaded } from "../shards";
import { colour, to } from "../state";
import { figure, hundredth } from "../words";
import { contrastsOf } from "./activations";
import { type Contrast, sorted } from "./contrast";
import type { Space } from "./model";
import { by, preview } from "./store";

const FIRST = 12;

const CHOICES = [
  { value: "contrast" as const, label: "by contrast" },
  { value: "mean" as const, label: "by mean" },
];

export function Filters({ space, members, of }: { space: Space; members: Int32Array; of: string }) {
  const [all, setAll] = useState(false);
  const found = useContrasts(space, members, of);
  const mode = by.value;
  const rows = found.value ? sorted(found.value, mode) : null;
  const top = rows ? Math.max(...rows.map((row) => Math.max(row.mean, row.meanElsewhere ?? 0)), 0) : 0;
  return (
    <section>
      <header class="row">
        <h2>Filters</h2>
        <Segmented label="Order of filters" choices={CHOICES} value={mode} onPick={(value) => (by.value = value)} />
      </header>
      {found.error ? <Note warns>{found.error}</Note> : null}
      <div class="filter heads small soft">
        <span>filter</span>
        <span>strongest patches</span>
        <span>
          {mode === "contrast" ? "fires " : "mean "}
          <b class={colour(space.network.name)}>here</b>, elsewhere
        </span>
        <span>{mode}</span>
      </div>
      {rows === null ? <p class="soft small">{found.error ? "" : "Reading activations…"}</p> : (
        <ol class="filters" onMouseLeave={() => (preview.value = null)}>
          {rows.slice(0, all ? rows.length : FIRST).map((row) => (
            <FilterRow key={row.channel} space={space} row={row} top={top} />
          ))}
        </ol>
      )}
      {rows && rows.length > FIRST ? (
        <button type="button" class="button" onClick={() => setAll(!all)}>
          {all ? `First ${FIRST}` : `All ${rows.length}`}
        </button>
      ) : null}
    </section>
  );
}

/** The contrasts of members, as they come. */
export function useContrasts(space: Space, members: Int32Array, of: string): Loaded<Contrast[]> {
  const key = `${space.network.name} ${space.layer.name} ${of}`;
  return useLoaded(key, async () => (await contrastsOf(space, members, () => true)) ?? []);
}

function FilterRow({ space, row, top }: { space: Space; row: Contrast; top: number }) {
  const mean = by.value === "mean";
  const [here, elsewhere] = mean ? [row.mean / (top || 1), (row.meanElsewhere ?? 0) / (top || 1)] : [row.fires, row.firesElsewhere ?? 0];
  const numbers = mean
    ? `mean ${figure(row.mean)} here, ${figure(row.meanElsewhere ?? 0)} elsewhere`
    : `fires at ${percent(row.fires)} here, ${percent(row.firesElsewhere ?? 0)} elsewhere`;
  const point = () => (preview.value = row.channel);
  return (
    <li onMouseEnter={point}>
      <a
        class="filter bare"
        href={to({ page: "filter", network: space.network.name, layer: space.layer.name, channel: row.channel })}
        onFocus={point}
        onBlur={() => (preview.value = null)}
      >
        <b>
          <span class="unseen">Filter </span>
          {row.channel}
        </b>
        <Strip space={space} channel={row.channel} />
        <span class={`rates ${colour(space.network.name)}`} title={numbers}>
          <i style={{ width: `${100 * here}%` }} />
          <i class="grey" style={{ width: `${100 * elsewhere}%` }} />
        </span>
        <span class="unseen">{`, ${numbers}, ${mean ? "mean" : "contrast"} `}</span>
        <span class="number">{mean ? figure(row.mean) : hundredth(row.contrast)}</span>
      </a>
    </li>
  );
}

function percent(share: number): string {
  return `${Math.round(100 * share)} %`;
}

/** A filter's strongest patches of the study. */
export function Strip({ space, channel, ranks = 3 }: { space: Space; channel: number; ranks?: number }) {
  const { network, layer } = space;
  const filters = useFilters(network, layer).value;
  if (filters === undefined) return <span class="strip" />;
  return (
    <span class="strip">
      {topPatches(filters, channel, ranks).map((patch) => (
        <Patch key={patch.rank} of={{ network, layer, filters, channel }} patch={patch} />
      ))}
    </span>
  );
}
