// What is under the cursor, large: the patch, where it lies in its picture, its strongest filters.
import { useEffect, useState } from "preact/hooks";
import { boxAt } from "../geometry";
import { best } from "../images";
import { Cut, Where } from "../parts/tile";
import { study } from "../state";
import { figure } from "../words";
import { levelsAt } from "./activations";
import { strongest } from "./contrast";
import type { Space } from "./model";
import { PatchPicture, useNames } from "./patch";
import type { Scene } from "./scene";
import { cellOf } from "./tiles";
import type { Frame } from "./viewer";

const WIDTH = 292;
const HEIGHT = 176;

export function Loupe({ frame, scene, patch }: { frame: Frame; scene: Scene; patch: number }) {
  const { space } = scene;
  const name = useNames([space.picture[patch]!]);
  return (
    <div class="lens" style={place(frame, scene, patch)} aria-live="polite">
      <div class="large">
        <Large space={space} patch={patch} />
      </div>
      <div>
        <b class="cut-off">{name(space.picture[patch]!)}</b>
        <Place space={space} patch={patch} />
        <Strongest space={space} patch={patch} />
      </div>
    </div>
  );
}

/** The patch in true pixels where its picture is there large; else as its cell shows it. */
function Large({ space, patch }: { space: Space; patch: number }) {
  const chosen = study().pictures.chosen.includes(space.picture[patch]!);
  if (!chosen && cellOf(space, patch) !== null) return <PatchPicture space={space} patch={patch} side={132} />;
  return <Cut picture={space.picture[patch]!} view={space.network.view} field={boxAt(space.boxes, patch)} />;
}

/** Where the patch lies in its picture; nothing where there are no small pictures. */
export function Place({ space, patch }: { space: Space; patch: number }) {
  const picture = space.picture[patch]!;
  if (best(study(), space.network.view, picture) === null) return null;
  return (
    <span class="place">
      <Where picture={picture} view={space.network.view} field={boxAt(space.boxes, patch)} />
    </span>
  );
}

function Strongest({ space, patch }: { space: Space; patch: number }) {
  const filters = useStrongest(space, patch, 3);
  if (filters === null) return null;
  if (!filters.length) return <p class="soft">no filter fires</p>;
  return (
    <ol>
      {filters.map(([channel, value]) => (
        <li key={channel}>
          <span class="soft">filter {channel}</span> {figure(value)}
        </li>
      ))}
    </ol>
  );
}

/** The filters a patch excites most, once they are known; asked for when the cursor has rested. */
export function useStrongest(space: Space, patch: number, most: number): [number, number][] | null {
  const [found, setFound] = useState<{ patch: number; filters: [number, number][] } | null>(null);
  useEffect(() => {
    let wanted = true;
    const ask = () => levelsAt(space, patch).then(
      (levels) => wanted && setFound({ patch, filters: strongest(levels, space.shard.activations.scale, most) }),
      () => undefined,
    );
    const timer = setTimeout(ask, 60);
    return () => {
      wanted = false;
      clearTimeout(timer);
    };
  }, [space, patch, most]);
  return found?.patch === patch ? found.filters : null;
}

/** Beside the cell, on the side that has room. */
function place(frame: Frame, scene: Scene, patch: number) {
  const { plane } = scene;
  const cell = plane.cellOf[patch]!;
  const points = scene.buckets !== null || cell < 0;
  const { x, y } = scene.space.places.fill;
  const column = points ? x[patch]! - 0.5 : cell % plane.columns;
  const row = points ? y[patch]! - 0.5 : Math.floor(cell / plane.columns);
  const [left, top] = [frame.left + column * frame.unit, frame.top + row * frame.unit];
  const right = left + frame.unit + 14;
  const across = right + WIDTH <= frame.width ? right : Math.max(left - WIDTH - 14, 4);
  return { left: `${across}px`, top: `${Math.min(Math.max(top, 4), Math.max(frame.height - HEIGHT - 4, 4))}px` };
}
