// What the colours of patches mean; a class lights up when it is pressed.
import type { Chosen, ColourBy } from "../address";
import { className, heldClasses } from "../pictures";
import { to } from "../state";
import { count, figure } from "../words";
import { css, hue } from "./colours";
import type { Space } from "./model";

const MOST = 14;

interface LegendProps {
  space: Space;
  colour: ColourBy | null;
  choose: (chosen: Chosen) => void;
}

export function Legend({ space, colour, choose }: LegendProps) {
  const classes = heldClasses();
  if (colour === "picture") return <p class="legend small soft">One colour for each picture; two of many may be alike.</p>;
  if (colour !== null && typeof colour === "object") return <Ramp space={space} channel={colour.filter} />;
  if (colour !== "class") return null;
  if (classes.length > MOST) return <p class="legend small soft">{`${count(classes.length)} classes have a colour each; two of many may be alike. Search lights one up.`}</p>;
  return (
    <ul class="legend small" aria-label="Colours of classes">
      {classes.map((label, place) => (
        <li key={label}>
          <button type="button" onClick={() => choose({ class: label })}>
            <i style={{ background: css(hue(place, classes.length)) }} />
            {className(label)}
          </button>
        </li>
      ))}
    </ul>
  );
}

function Ramp({ space, channel }: { space: Space; channel: number }) {
  const largest = 255 * (space.shard.activations.scale[channel] ?? 0);
  return (
    <p class="legend scale small">
      <a href={to({ page: "filter", network: space.network.name, layer: space.layer.name, channel })}>{`filter ${channel}`}</a>
      <span>0</span> <i /> <span>{figure(largest)}</span>
    </p>
  );
}
