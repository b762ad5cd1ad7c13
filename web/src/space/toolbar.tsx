// The tools over a plane.
import type { Arrangement, Chosen, ColourBy } from "../address";
import { type Choice, Segmented } from "../parts/controls";
import { narrow, study } from "../state";
import type { Controller } from "./controller";
import type { Space } from "./model";
import { tool } from "./store";
import type { Tool } from "./tools";

interface ToolbarProps {
  space: Space;
  other: Space | null;
  arrangement: Arrangement;
  onShow: (arrangement: Arrangement) => void;
  chosen: Chosen | null;
  choose: (chosen: Chosen | null) => void;
  colour: ColourBy | null;
  onColour: (colour: ColourBy | null) => void;
  onBeside: (beside: { network: string; layer: string } | null) => void;
  plane: () => Controller | null;
}

export function Toolbar(props: ToolbarProps) {
  const hint = (key: string) => (narrow.value ? {} : { hint: key });
  const tools: Choice<Tool>[] = [
    { value: "move", label: "Move", ...hint("v") },
    { value: "box", label: "Box", ...hint("b") },
    { value: "lasso", label: "Lasso", ...hint("l") },
  ];
  const one = props.space.planes.one ? {} : { off: "The space has no such plane" };
  const arrangements: Choice<Arrangement>[] = [
    { value: "one", label: "One to one", ...one },
    { value: "fill", label: "Filled" },
    { value: "points", label: "Points" },
  ];
  return (
    <div class="tools">
      <Segmented label="Tool" choices={tools} value={tool.value} onPick={(name) => (tool.value = name)} />
      <Segmented label="Arrangement" choices={arrangements} value={props.arrangement} onPick={props.onShow} />
      <span class="gap" />
      <Colours {...props} />
      <Beside {...props} />
      <div class="segmented" role="group" aria-label="Zoom">
        <button type="button" aria-label="Nearer" onClick={() => props.plane()?.viewer.zoom(1.5)}>+</button>
        <button type="button" aria-label="Farther" onClick={() => props.plane()?.viewer.zoom(1 / 1.5)}>−</button>
        <button type="button" onClick={() => props.plane()?.viewer.all()}>All</button>
      </div>
    </div>
  );
}

function Colours({ space, chosen, choose, colour, onColour }: ToolbarProps) {
  const filter = chosen !== null && "filter" in chosen ? chosen.filter : null;
  const value = typeof colour === "string" ? colour : colour !== null || filter !== null ? "filter" : "none";
  const pick = (name: string) => {
    if (name === "filter") return onColour({ filter: filter ?? firstFilter(space, chosen) });
    if (filter !== null) choose(null);
    onColour(name === "class" || name === "picture" ? name : null);
  };
  return (
    <>
      <label class="picks">
        <span class="unseen">Colour of patches</span>
        <select class="button" value={value} onChange={(event) => pick(event.currentTarget.value)}>
          <option value="none">Colour: none</option>
          {study().pictures.classes ? <option value="class">Colour: class</option> : null}
          <option value="picture">Colour: picture</option>
          <option value="filter">Colour: a filter</option>
        </select>
      </label>
      {colour !== null && typeof colour === "object" ? <WhichFilter space={space} channel={colour.filter} onPick={(channel) => onColour({ filter: channel })} /> : null}
    </>
  );
}

/** The filter that colours at first: that of most contrast in the region, if one is chosen. */
function firstFilter(space: Space, chosen: Chosen | null): number {
  const number = chosen !== null && "region" in chosen ? chosen.region : 1;
  return space.shard.regions.find((region) => region.number === number)?.filters[0]?.channel ?? 0;
}

function WhichFilter({ space, channel, onPick }: { space: Space; channel: number; onPick: (channel: number) => void }) {
  const last = space.shard.activations.channels - 1;
  const take = (value: number) => Number.isInteger(value) && value >= 0 && value <= last && onPick(value);
  return (
    <label class="which">
      <span class="unseen">{`Filter that gives the colour, 0 to ${last}`}</span>
      <input class="button" type="number" min={0} max={last} value={channel} onChange={(event) => take(event.currentTarget.valueAsNumber)} />
    </label>
  );
}

/** Other planes of the study, to stand beside this one. */
function Beside({ space, other, onBeside }: ToolbarProps) {
  const all = study().networks.flatMap((network) => network.layers.filter((layer) => layer.space).map((layer) => ({ network, layer })));
  const rest = all.filter(({ network, layer }) => network.name !== space.network.name || layer.name !== space.layer.name);
  if (!rest.length || narrow.value) return null;
  const at = rest.findIndex(({ network, layer }) => network.name === other?.network.name && layer.name === other.layer.name);
  const pick = (value: string) => {
    const found = rest[Number(value)];
    onBeside(value === "" || !found ? null : { network: found.network.name, layer: found.layer.name });
  };
  return (
    <label class="picks">
      <span class="unseen">Plane beside this one</span>
      <select class="button" value={at < 0 ? "" : String(at)} onChange={(event) => pick(event.currentTarget.value)}>
        <option value="">Beside: none</option>
        {rest.map(({ network, layer }, n) => (
          <option key={n} value={String(n)}>{`Beside: ${network.title} ${layer.name}`}</option>
        ))}
      </select>
    </label>
  );
}
