// What the colours of classes mean; a class lights up when it is pressed.
import type { Chosen } from "../address";
import { className } from "../pictures";
import { study } from "../state";
import { count } from "../words";
import { css, hue } from "./colours";
import { colour } from "./store";

const MOST = 14;

export function Legend({ choose }: { choose: (chosen: Chosen) => void }) {
  const classes = study().pictures.classes ?? [];
  if (colour.value === "picture") return <p class="legend small soft">One colour for each picture; two of many may be alike.</p>;
  if (colour.value !== "class") return null;
  if (classes.length > MOST) return <p class="legend small soft">{`${count(classes.length)} classes have a colour each; two of many may be alike. Search lights one up.`}</p>;
  return (
    <ul class="legend small">
      {classes.map((_, label) => (
        <li key={label}>
          <button type="button" onClick={() => choose({ class: label })}>
            <i style={{ background: css(hue(label)) }} />
            {className(label)}
          </button>
        </li>
      ))}
    </ul>
  );
}
